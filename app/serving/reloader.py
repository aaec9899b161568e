"""Replacement of served models, by a faster engine after the start and by new checkpoints later.

The reference engine is used from the start until the engine of a model has been selected. A changed
checkpoint is loaded, and its engine selected, while the previous model continues to serve. The
previous model stays if the new one is rejected or its files are missing.
"""

import asyncio
import gc
import time
from dataclasses import dataclass
from enum import StrEnum

import structlog
import torch

from app.engines.selection import SelectionState
from app.metrics import Metrics
from app.serving.errors import ReloadInProgressError, SelectionError, end_process_on_device_error
from app.serving.loader import ModelLoader, ServedModel
from app.serving.registry import ModelRegistry, UnavailableModel, elapsed_s
from app.vision.errors import CheckpointError, MissingCheckpointError
from app.vision.heap import release_free_memory

log = structlog.stdlib.get_logger(__name__)


class ReloadOutcome(StrEnum):
    """Outcome of the reload of one model."""

    UNCHANGED = "unchanged"  # the files have not changed
    RELOADED = "reloaded"  # the changed files are served
    REFUSED = "refused"  # the files cannot be used
    MISSING = "missing"  # the files are missing


@dataclass(frozen=True)
class ReloadResult:
    """Outcome, the version that is served now, if any, and the reason of a failure."""

    outcome: ReloadOutcome
    version: str | None
    reason: str | None = None


class ModelReloader:
    """Loads all models, selects their engines and reloads them, one model at a time."""

    def __init__(self, registry: ModelRegistry, loader: ModelLoader, metrics: Metrics) -> None:
        self._registry = registry
        self._loader = loader
        self._metrics = metrics
        self._busy = asyncio.Lock()  # held during the first load and every reload
        self._replacing = asyncio.Lock()  # held while a model is being replaced
        self._requested = asyncio.Event()

    def request_reload(self) -> None:
        """Make `run` reload all models once more, after the current load."""
        self._requested.set()

    async def run(self) -> None:
        """Load the models and select their engines; then reload them on every request."""
        async with self._busy:
            await self._registry.load()
        gc.freeze()  # see `_free`
        async with asyncio.TaskGroup() as group:
            group.create_task(self._select_all())
            group.create_task(self._reload_on_request())

    async def reload(self) -> dict[str, ReloadResult]:
        """Reload all models; one that is unavailable may become available.

        Raises:
            ReloadInProgressError: models are being loaded, perhaps from outdated files.
        """
        if self._busy.locked():
            raise ReloadInProgressError(
                "Models are already being loaded. Try again when that is done."
            )
        async with self._busy:
            return await self._reload_all()

    async def _reload_on_request(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            async with self._busy:
                await self._reload_all()

    async def _select_all(self) -> None:
        """Select the engines of the models that were loaded at the start, one at a time."""
        while True:
            async with self._replacing:
                names = self._registry.selecting
                if not names:
                    break
                model = await self._select(self._registry.get(names[0]))
                self._registry.put(model.name, model)
        await asyncio.to_thread(_free)

    async def _select(self, model: ServedModel) -> ServedModel:
        """Return the model with its selected engine or, if the selection fails, the reason.

        A model with a selected engine is returned unchanged.
        """
        if model.selection.state is SelectionState.DONE:
            return model
        started = time.perf_counter()
        try:
            selected = await self._loader.select(model)
        except SelectionError as error:
            log.warning("engine selection failed", model=model.name, reason=str(error))
            return model.with_failed_selection(str(error))
        except Exception as error:  # such as too little memory
            log.exception("engine selection failed", model=model.name)
            end_process_on_device_error(error)
            return model.with_failed_selection(type(error).__name__)
        log.info(
            "engine selected",
            model=model.name,
            engine=str(selected.selection.engine.kind),
            seconds=elapsed_s(started),
        )
        return selected

    async def _reload_all(self) -> dict[str, ReloadResult]:
        started = time.perf_counter()
        found = {name: await self._reload(name) for name in self._registry.models}
        for name, each in found.items():
            self._metrics.reloads.labels(name, each.outcome).inc()
        if any(each.outcome is ReloadOutcome.RELOADED for each in found.values()):
            await asyncio.to_thread(_free)
        outcomes = {name: str(each.outcome) for name, each in found.items()}
        log.info("reload done", seconds=elapsed_s(started), **outcomes)
        return found

    async def _reload(self, name: str) -> ReloadResult:
        async with self._replacing:
            before, started = self._registry.models[name], time.perf_counter()
            try:
                model = await self._load_changed(name, before)
            except MissingCheckpointError as error:
                return self._not_replaced(name, ReloadOutcome.MISSING, str(error))
            except (CheckpointError, SelectionError) as error:
                return self._not_replaced(name, ReloadOutcome.REFUSED, str(error))
            except Exception as error:  # such as too little memory for both
                log.exception("model failed to load", model=name)
                end_process_on_device_error(error)
                reason = f"The model failed to load: {type(error).__name__}."
                return self._not_replaced(name, ReloadOutcome.REFUSED, reason)
            self._registry.put(name, model)
        if isinstance(before, ServedModel) and before.files == model.files:
            return ReloadResult(ReloadOutcome.UNCHANGED, before.version)
        log.info(
            "model reloaded",
            model=name,
            version=model.version,
            engine=str(model.selection.engine.kind),
            seconds=elapsed_s(started),
        )
        return ReloadResult(ReloadOutcome.RELOADED, model.version)

    async def _load_changed(self, name: str, before: ServedModel | UnavailableModel) -> ServedModel:
        """Load the current files of a model and select its engine.

        Raises:
            CheckpointError: the files are missing or damaged.
            SelectionError: no engine could be selected, but the model `before` has one.
        """
        files = await asyncio.to_thread(self._loader.fingerprint, name)
        if isinstance(before, ServedModel) and before.files == files:
            return await self._select(before)
        model = await self._select(await self._loader.load(name))
        if (
            model.selection.state is SelectionState.FAILED
            and isinstance(before, ServedModel)
            and before.selection.state is SelectionState.DONE
        ):
            raise SelectionError(model.selection.reason)
        return model

    def _not_replaced(self, name: str, outcome: ReloadOutcome, reason: str) -> ReloadResult:
        before = self._registry.models[name]
        if isinstance(before, UnavailableModel):
            version = None
            self._registry.put(name, UnavailableModel(reason))
        else:
            version = before.version
            reason = f"{reason} Version {version} is still served."
        log.warning("model not reloaded", model=name, outcome=str(outcome), reason=reason)
        return ReloadResult(outcome, version, reason)


def _free() -> None:
    """Free the memory of replaced models.

    The remaining objects are frozen, because a collection of them takes a tenth of a second. Frozen
    objects are collected this once, since a model of the start may be part of a cycle.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    release_free_memory()
    torch.cuda.empty_cache()  # does nothing if CUDA is not in use
