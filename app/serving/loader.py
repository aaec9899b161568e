"""Loading of checkpoints for serving, and selection of their engines."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from app.engines.options import EngineOptions
from app.engines.pytorch import ReferenceEngine
from app.engines.selection import (
    EngineSelection,
    SelectionState,
    build_selection,
    reference_selection,
    restore_selection,
)
from app.metrics import Metrics
from app.serving.batcher import Batcher, BatchLimits
from app.serving.errors import SelectionError
from app.serving.selection_process import select_engine_in_subprocess
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError, MissingCheckpointError
from app.vision.layers import Layer, layer_table

T = TypeVar("T")


@dataclass(frozen=True)
class ServedModel:
    """A loaded model; `files` is the fingerprint of the files that it was loaded from."""

    classifier: Classifier
    selection: EngineSelection
    layers: list[Layer]
    batcher: Batcher
    files: str

    @property
    def name(self) -> str:
        """Name of the model in requests."""
        return self.classifier.card.spec.name

    @property
    def version(self) -> str:
        """Short name of the weights."""
        return self.classifier.card.version

    def with_failed_selection(self, reason: str) -> "ServedModel":
        """Return this model, marked as one whose engine selection has failed."""
        reason = f"No other engine could be selected: {reason}"
        failed = replace(self.selection, reason=reason, state=SelectionState.FAILED)
        return replace(self, selection=failed)


class ModelLoader:
    """Loads the models of one folder onto one device."""

    def __init__(
        self,
        device: torch.device,
        thread: Executor,
        metrics: Metrics,
        engines: EngineOptions,
        limits: BatchLimits,
    ) -> None:
        """Create a loader.

        Args:
            device: the device of the models.
            thread: the device's one thread; all forward passes of served models run there.
            metrics: the metrics that the models update.
            engines: engine settings, and the folder of the checkpoints.
            limits: limits of each model's batches and queue.
        """
        self._device = device
        self._thread = thread
        self._metrics = metrics
        self._engines = engines
        self._limits = limits

    def fingerprint(self, name: str) -> str:
        """Return a SHA-256 of all files of a model.

        Raises:
            MissingCheckpointError: the weights or their card are missing.
        """
        folder = self._engines.models
        parts = [_sha256(folder / f"{name}.{suffix}") for suffix in ("json", "pt")]
        if self._engines.preference == "int8":
            parts += [_sha256_if_any(folder / f"{name}.int8.{suffix}") for suffix in ("xml", "bin")]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    async def load(self, name: str) -> ServedModel:
        """Load a model with the reference engine.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="load") as helper_thread:
            return await _run(helper_thread, partial(self._load, name))

    async def select(self, model: ServedModel) -> ServedModel:
        """Select the engine of a loaded model, which continues to serve meanwhile.

        A cached selection is built at once. Otherwise a subprocess selects the engine, because
        converting the network and comparing engines take long.

        Raises:
            SelectionError: no engine can be used, or the files of the model have changed.
        """
        name = model.name
        with ThreadPoolExecutor(1, thread_name_prefix="select") as helper_thread:
            executor = self._thread if self.builds_on_device_thread else helper_thread
            selection = await _run(
                executor, partial(restore_selection, model.classifier, self._engines)
            )
            if selection is None:
                selected = await select_engine_in_subprocess(name)
                selection = await _run(
                    executor, partial(build_selection, selected, model.classifier, self._engines)
                )
            if await _run(helper_thread, partial(self._is_changed, model)):
                raise SelectionError(
                    "The files of the model have changed meanwhile. Reload the model."
                )
            if selection is None:
                raise SelectionError("The selected engine cannot be built; see the log.")
            await _run(executor, partial(self._warm_up, model.classifier, selection))
        return replace(model, selection=selection, batcher=self._batcher(name, selection))

    @property
    def builds_on_device_thread(self) -> bool:
        """True if engines are built on the device's thread, which blocks inference meanwhile.

        A compiled network is bound to the thread that compiled it.
        """
        return self._engines.compiled and self._device.type == "cuda"

    def _load(self, name: str) -> ServedModel:
        files = self.fingerprint(name)
        classifier = Classifier.load(name, self._engines.models, self._device)
        selection = reference_selection(classifier, self._engines)
        self._warm_up(classifier, selection)
        layers = layer_table(classifier.network, _shape(classifier))
        return ServedModel(classifier, selection, layers, self._batcher(name, selection), files)

    def _is_changed(self, model: ServedModel) -> bool:
        """Return whether the files of a model have changed since it was loaded."""
        try:
            return self.fingerprint(model.name) != model.files
        except CheckpointError:
            return True

    def _batcher(self, name: str, selection: EngineSelection) -> Batcher:
        run = selection.engine.probabilities
        return Batcher(name, run, self._thread, self._metrics, self._limits)

    def _warm_up(self, classifier: Classifier, selection: EngineSelection) -> None:
        image = torch.zeros(_shape(classifier), dtype=torch.uint8)
        for size in self._batch_sizes(selection):
            selection.engine.probabilities([image] * size)

    def _batch_sizes(self, selection: EngineSelection) -> set[int]:
        """Return the batch sizes to warm up; a network is compiled for each power of two."""
        most = self._limits.max_batch
        if self._device.type == "cpu" and selection.engine.kind == ReferenceEngine.kind:
            return {1}  # the reference engine caches nothing by batch size
        if self.builds_on_device_thread:
            return {1, most} | {1 << power for power in range(most.bit_length())}
        return {1, most}


def _shape(classifier: Classifier) -> tuple[int, int, int]:
    spec = classifier.card.spec.input
    return (spec.channels, spec.height, spec.width)


async def _run(executor: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise MissingCheckpointError(
            f"There is no {path.name} in {path.parent.name}/. Train the model first."
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}.") from error


def _sha256_if_any(path: Path) -> str:
    try:
        return _sha256(path)
    except MissingCheckpointError:
        return ""
