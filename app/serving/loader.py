"""Loads checkpoints as models that answer, and selects their engines."""

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
from app.engines.pytorch import Reference
from app.engines.selection import Choice, Selection, build, chosen_before, reference
from app.metrics import Metrics
from app.serving.batcher import Batcher, BatchLimits
from app.serving.engine_selection import select_engine
from app.serving.errors import SelectionError
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError, MissingCheckpointError
from app.vision.layers import Layer, layer_table

T = TypeVar("T")


@dataclass(frozen=True)
class ServedModel:
    """A model that answers; `files` is the fingerprint of what it was loaded from."""

    classifier: Classifier
    choice: Choice
    layers: list[Layer]
    batcher: Batcher
    files: str

    @property
    def name(self) -> str:
        """Name under which clients ask for it."""
        return self.classifier.card.spec.name

    @property
    def version(self) -> str:
        """Short name of the weights."""
        return self.classifier.card.version

    def without_selection(self, reason: str) -> "ServedModel":
        """Return the model as it is after its selection has failed."""
        reason = f"no other engine could be selected: {reason}"
        return replace(self, choice=replace(self.choice, reason=reason, selection=Selection.FAILED))


class Loader:
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
            device: where the models run.
            thread: the device's one thread; all forward passes of what is served run there.
            metrics: where the models count.
            engines: what may execute the models, and where these are.
            limits: of each model's batches and queue.
        """
        self._device = device
        self._thread = thread
        self._metrics = metrics
        self._engines = engines
        self._limits = limits

    def fingerprint(self, name: str) -> str:
        """Return a SHA-256 of all files of a model.

        Raises:
            MissingCheckpointError: the weights or their card are not there.
        """
        folder = self._engines.models
        parts = [_sha256(folder / f"{name}.{suffix}") for suffix in ("json", "pt")]
        if self._engines.preference == "int8":
            parts += [_sha256_if_any(folder / f"{name}.int8.{suffix}") for suffix in ("xml", "bin")]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    async def load(self, name: str) -> ServedModel:
        """Load a model, for which the reference engine answers.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="load") as beside:
            return await _run(beside, partial(self._load, name))

    async def select(self, model: ServedModel) -> ServedModel:
        """Select the engine of a loaded model, which goes on answering meanwhile.

        The engine that was selected at an earlier start is built at once. Without one, another
        process selects, as converting the network and comparing engines take long.

        Raises:
            SelectionError: no engine can be used, or the files of the model have changed.
        """
        name = model.name
        with ThreadPoolExecutor(1, thread_name_prefix="select") as beside:
            where = self._thread if self.is_thread_needed else beside
            choice = await _run(where, partial(chosen_before, model.classifier, self._engines))
            if choice is None:
                verdict = await select_engine(name)
                choice = await _run(where, partial(build, verdict, model.classifier, self._engines))
            if await _run(beside, partial(self._is_changed, model)):
                raise SelectionError("the files of the model have changed meanwhile; reload it")
            if choice is None:
                raise SelectionError("the engine that was selected cannot be built; see the log")
            await _run(where, partial(self._warm_up, model.classifier, choice))
        return replace(model, choice=choice, batcher=self._batcher(name, choice))

    @property
    def is_thread_needed(self) -> bool:
        """Tell whether engines are built in the device's thread, where nothing else runs meanwhile.

        A compiled network belongs to the thread that compiled it.
        """
        return self._engines.compiled and self._device.type == "cuda"

    def _load(self, name: str) -> ServedModel:
        files = self.fingerprint(name)
        classifier = Classifier.load(name, self._engines.models, self._device)
        choice = reference(classifier, self._engines)
        self._warm_up(classifier, choice)
        layers = layer_table(classifier.network, _shape(classifier))
        return ServedModel(classifier, choice, layers, self._batcher(name, choice), files)

    def _is_changed(self, model: ServedModel) -> bool:
        """Tell whether the files of a model are no longer those that it was loaded from."""
        try:
            return self.fingerprint(model.name) != model.files
        except CheckpointError:
            return True

    def _batcher(self, name: str, choice: Choice) -> Batcher:
        run = choice.engine.probabilities
        return Batcher(name, run, self._thread, self._metrics, self._limits)

    def _warm_up(self, classifier: Classifier, choice: Choice) -> None:
        picture = torch.zeros(_shape(classifier), dtype=torch.uint8)
        for batch in self._batch_sizes(choice):
            choice.engine.probabilities([picture] * batch)

    def _batch_sizes(self, choice: Choice) -> set[int]:
        """Return the sizes to warm up with; a network is compiled for each power of two."""
        most = self._limits.max_batch
        if self._device.type == "cpu" and choice.engine.kind == Reference.kind:
            return {1}  # nothing is prepared for a size
        if self.is_thread_needed:
            return {1, most} | {1 << power for power in range(most.bit_length())}
        return {1, most}


def _shape(classifier: Classifier) -> tuple[int, int, int]:
    picture = classifier.card.spec.input
    return (picture.channels, picture.height, picture.width)


async def _run(executor: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise MissingCheckpointError(
            f"there is no {path.name} in {path.parent.name}/; train it"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}") from error


def _sha256_if_any(path: Path) -> str:
    try:
        return _sha256(path)
    except MissingCheckpointError:
        return ""
