"""Replacement of what is served: by a faster engine after the start, by a changed checkpoint later.

The reference engine answers from the start, until the engine of a model has been selected. A
changed checkpoint is loaded, and its engine selected, beside the one that is served. That one
answers meanwhile, and goes on answering when the new one is refused or its files have gone.
"""

import asyncio
import gc
import time
from dataclasses import dataclass
from enum import StrEnum

import structlog
import torch

from app.engines.selection import Selection
from app.metrics import Metrics
from app.serving.errors import ReloadInProgressError, SelectionError, end_if_poisoned
from app.serving.loader import Loader, ServedModel
from app.serving.registry import ModelRegistry, Unavailable, since
from app.vision.errors import CheckpointError, MissingCheckpointError
from app.vision.heap import give_back

log = structlog.stdlib.get_logger(__name__)


class Outcome(StrEnum):
    """The outcome for one model."""

    UNCHANGED = "unchanged"  # its files are those that are served
    RELOADED = "reloaded"  # what its files hold now is served
    REFUSED = "refused"  # its files cannot be used
    MISSING = "missing"  # its files are not there


@dataclass(frozen=True)
class Reloaded:
    """The outcome for one model: the version that is served now, if any, and the reason."""

    outcome: Outcome
    version: str | None
    reason: str | None = None


class Reloader:
    """Loads all models, selects their engines and reloads them, one model at a time."""

    def __init__(self, registry: ModelRegistry, loader: Loader, metrics: Metrics) -> None:
        self._registry = registry
        self._loader = loader
        self._metrics = metrics
        self._busy = asyncio.Lock()  # held by the first loading, and by a reload
        self._replacing = asyncio.Lock()  # held while one model is being replaced
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Let `run` reload once more, after all that is being loaded now."""
        self._asked.set()

    async def run(self) -> None:
        """Load the models and select their engines; reload them whenever somebody asks for it."""
        async with self._busy:
            await self._registry.load()
        gc.freeze()  # see `_free`
        async with asyncio.TaskGroup() as group:
            group.create_task(self._select_all())
            group.create_task(self._reload_when_asked())

    async def reload(self) -> dict[str, Reloaded]:
        """Reload all models; one that is unavailable may become available.

        Raises:
            ReloadInProgressError: models are being loaded, perhaps from files older than now.
        """
        if self._busy.locked():
            raise ReloadInProgressError("models are being loaded; ask again when that is done")
        async with self._busy:
            return await self._reload_all()

    async def _reload_when_asked(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            async with self._busy:
                await self._reload_all()

    async def _select_all(self) -> None:
        """Select the engines of the models that were loaded at the start, one after another."""
        while True:
            async with self._replacing:
                names = self._registry.selecting
                if not names:
                    break
                model = await self._select(self._registry.get(names[0]))
                self._registry.put(model.name, model)
        await asyncio.to_thread(_free)

    async def _select(self, model: ServedModel) -> ServedModel:
        """Return the model with the engine selected for it or, where that fails, the reason.

        A model that has such an engine stays as it is.
        """
        if model.choice.selection is Selection.DONE:
            return model
        started = time.perf_counter()
        try:
            selected = await self._loader.select(model)
        except SelectionError as error:
            log.warning("no engine selected", model=model.name, reason=str(error))
            return model.without_selection(str(error))
        except Exception as error:  # such as too little memory
            log.exception("no engine selected", model=model.name)
            end_if_poisoned(error)
            return model.without_selection(type(error).__name__)
        log.info(
            "engine selected",
            model=model.name,
            engine=str(selected.choice.engine.kind),
            seconds=since(started),
        )
        return selected

    async def _reload_all(self) -> dict[str, Reloaded]:
        started = time.perf_counter()
        found = {name: await self._reload(name) for name in self._registry.models}
        for name, each in found.items():
            self._metrics.reloads.labels(name, each.outcome).inc()
        if any(each.outcome is Outcome.RELOADED for each in found.values()):
            await asyncio.to_thread(_free)
        outcomes = {name: str(each.outcome) for name, each in found.items()}
        log.info("reload done", seconds=since(started), **outcomes)
        return found

    async def _reload(self, name: str) -> Reloaded:
        async with self._replacing:
            before, started = self._registry.models[name], time.perf_counter()
            try:
                model = await self._renewed(name, before)
            except MissingCheckpointError as error:
                return self._not_replaced(name, Outcome.MISSING, str(error))
            except (CheckpointError, SelectionError) as error:
                return self._not_replaced(name, Outcome.REFUSED, str(error))
            except Exception as error:  # such as too little memory for both
                log.exception("model failed to load", model=name)
                end_if_poisoned(error)
                reason = f"it failed to load: {type(error).__name__}"
                return self._not_replaced(name, Outcome.REFUSED, reason)
            self._registry.put(name, model)
        if isinstance(before, ServedModel) and before.files == model.files:
            return Reloaded(Outcome.UNCHANGED, before.version)
        log.info(
            "model reloaded",
            model=name,
            version=model.version,
            engine=str(model.choice.engine.kind),
            seconds=since(started),
        )
        return Reloaded(Outcome.RELOADED, model.version)

    async def _renewed(self, name: str, before: ServedModel | Unavailable) -> ServedModel:
        """Return what the files of a model hold now, with an engine selected.

        Raises:
            CheckpointError: they are missing or damaged.
            SelectionError: no engine could be selected, and the model `before` has one.
        """
        files = await asyncio.to_thread(self._loader.fingerprint, name)
        if isinstance(before, ServedModel) and before.files == files:
            return await self._select(before)
        model = await self._select(await self._loader.load(name))
        if (
            model.choice.selection is Selection.FAILED
            and isinstance(before, ServedModel)
            and before.choice.selection is Selection.DONE
        ):
            raise SelectionError(model.choice.reason)
        return model

    def _not_replaced(self, name: str, outcome: Outcome, reason: str) -> Reloaded:
        before = self._registry.models[name]
        if isinstance(before, Unavailable):
            version = None
            self._registry.put(name, Unavailable(reason))
        else:
            version = before.version
            reason = f"{reason}; {version} goes on answering"
        log.warning("model not reloaded", model=name, outcome=str(outcome), reason=reason)
        return Reloaded(outcome, version, reason)


def _free() -> None:
    """Give back what models that were replaced have held.

    What stays is spared from then on: looking through it takes a tenth of a second. What was spared
    before is looked through this once, for a model of the start may be in a cycle.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    give_back()
    torch.cuda.empty_cache()  # does nothing where CUDA is not in use
