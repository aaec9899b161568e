"""Makes a served model of a checkpoint: loads it, chooses its engine and warms that up."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from app.engines.choice import Choice, choose, chosen_before
from app.engines.options import EngineOptions
from app.serving.batcher import Batcher, BatchLimits
from app.serving.metrics import Metrics
from app.serving.preparation import prepare
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError, MissingCheckpointError
from app.vision.layers import Layer, layer_table

T = TypeVar("T")


@dataclass(frozen=True)
class ServedModel:
    """A model that is loaded and warm; `files` is the fingerprint of what it was loaded from."""

    classifier: Classifier
    choice: Choice
    layers: list[Layer]
    batcher: Batcher
    files: str

    @property
    def version(self) -> str:
        """Short name of the weights."""
        return self.classifier.card.version


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
        """Load a model; the device's thread is not free for others meanwhile.

        Raises:
            CheckpointError: it is missing or damaged.
        """

        def load() -> ServedModel:
            files = self.fingerprint(name)
            classifier = self._classifier(name)
            choice = choose(classifier, self._engines)
            self._warm_up(classifier, choice)
            return self._served(classifier, choice, files)

        return await _run(self._thread, load)

    async def load_beside(self, name: str) -> ServedModel:
        """Load a model while the device's thread goes on answering for others.

        What takes long, converting the network and comparing engines, is left to another process.
        A compiled network, though, belongs to the thread that compiled it.

        Raises:
            CheckpointError: it is missing or damaged, or its files are being replaced.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="reload") as beside:
            files = await _run(beside, lambda: self.fingerprint(name))
            classifier = await _run(beside, lambda: self._classifier(name))
            if self._engines.preference != "exact":
                await prepare(name)
            where = self._thread if self._engines.compiled else beside
            choice = await _run(where, lambda: chosen_before(classifier, self._engines))
            if choice is None:  # no verdict is kept while an engine fails
                choice = await _run(self._thread, lambda: choose(classifier, self._engines))
            warm = choice
            await _run(where, lambda: self._warm_up(classifier, warm))
            if await _run(beside, lambda: self.fingerprint(name)) != files:
                raise CheckpointError(f"the files of {name} changed meanwhile; reload again")
            return await _run(beside, lambda: self._served(classifier, warm, files))

    def _classifier(self, name: str) -> Classifier:
        return Classifier.load(name, self._engines.models, self._device)

    def _served(self, classifier: Classifier, choice: Choice, files: str) -> ServedModel:
        name, run = classifier.card.spec.name, choice.engine.probabilities
        layers = layer_table(classifier.network, _shape(classifier))
        batcher = Batcher(name, run, self._thread, self._metrics, self._limits)
        return ServedModel(classifier, choice, layers, batcher, files)

    def _warm_up(self, classifier: Classifier, choice: Choice) -> None:
        picture = torch.zeros(_shape(classifier), dtype=torch.uint8)
        for batch in self._batch_sizes():
            choice.engine.probabilities([picture] * batch)

    def _batch_sizes(self) -> set[int]:
        """Sizes to warm up with; a compiled network is compiled for each power of two."""
        most = self._limits.max_batch
        sizes = {1, most}
        if self._engines.compiled:
            sizes |= {1 << power for power in range(most.bit_length())}
        return sizes


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
