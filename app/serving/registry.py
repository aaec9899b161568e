"""The models that this process serves, by name."""

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import structlog
import torch

from app.engines.candidates import EngineOptions
from app.engines.choice import Choice, choose
from app.serving.batcher import Batcher, BatchLimits
from app.serving.errors import ModelUnavailableError, UnknownModelError, end_if_poisoned
from app.serving.metrics import Metrics
from app.vision.classifier import Classifier
from app.vision.errors import CheckpointError
from app.vision.layers import Layer, layer_table

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A model that is loaded and warm."""

    classifier: Classifier
    choice: Choice
    layers: list[Layer]
    batcher: Batcher


@dataclass(frozen=True)
class Unavailable:
    """A model that cannot answer, and why."""

    reason: str


class ModelRegistry:
    """Loads each model once; one that is missing or refused does not stop the others."""

    def __init__(
        self,
        names: Iterable[str],
        default: str,
        thread: Executor,
        metrics: Metrics,
        engines: EngineOptions,
        limits: BatchLimits,
    ) -> None:
        """Create a registry of models that are yet to be loaded.

        Args:
            names: the models to serve, in the order in which they are listed.
            default: the model used when a request names none.
            thread: the device's one thread; all forward passes run there.
            metrics: where to count.
            engines: what may execute the models.
            limits: of each model's batches and queue.
        """
        self._models: dict[str, ServedModel | Unavailable] = dict.fromkeys(
            names, Unavailable("it is being loaded; try again in a moment")
        )
        self._default = default
        self._thread = thread
        self._metrics = metrics
        self._engines = engines
        self._limits = limits
        self._loaded = False

    @property
    def ready(self) -> bool:
        """Whether every model is either warm or known to be unavailable."""
        return self._loaded

    @property
    def models(self) -> dict[str, ServedModel | Unavailable]:
        """Every model by name, in the order given."""
        return dict(self._models)

    async def load(self, folder: Path, device: torch.device) -> None:
        """Load, check and warm up every model; they answer from when the last of them is ready.

        Until then the thread is not free for them.
        """
        started = time.perf_counter()
        loaded = {name: await self._load_or_refuse(name, folder, device) for name in self._models}
        self._models.update(loaded)
        for name, model in loaded.items():
            self._metrics.model_ready.labels(name).set(isinstance(model, ServedModel))
        self._loaded = True
        log.info("all models loaded", seconds=_since(started))

    def get(self, name: str | None) -> ServedModel:
        """Return a model that can answer; None means the default.

        Raises:
            UnknownModelError: there is no such model.
            ModelUnavailableError: it is loading, or its checkpoint is missing or was refused.
        """
        if name is None:
            name = self._default_name()
        if name not in self._models:
            known = ", ".join(self._models)
            raise UnknownModelError(f"there is no model {name!r}; the models are: {known}")
        model = self._models[name]
        if isinstance(model, Unavailable):
            raise ModelUnavailableError(f"model {name!r} is not available: {model.reason}")
        return model

    def _default_name(self) -> str:
        preferred = [self._default, *self._models]
        usable = (name for name in preferred if isinstance(self._models.get(name), ServedModel))
        return next(usable, next(iter(self._models)))

    async def _load_or_refuse(
        self, name: str, folder: Path, device: torch.device
    ) -> ServedModel | Unavailable:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(self._thread, self._load_one, name, folder, device)
        except CheckpointError as error:
            log.warning("model refused", model=name, reason=str(error))
            return Unavailable(str(error))
        except Exception as error:
            log.exception("model failed to load", model=name)
            end_if_poisoned(error)
            return Unavailable(f"it failed to load: {type(error).__name__}")
        kind = str(model.choice.engine.kind)
        log.info(
            "model ready", model=name, device=str(device), engine=kind, seconds=_since(started)
        )
        return model

    def _load_one(self, name: str, folder: Path, device: torch.device) -> ServedModel:
        classifier = Classifier.load(name, folder, device)
        picture = classifier.card.spec.input
        shape = (picture.channels, picture.height, picture.width)
        layers = layer_table(classifier.network, shape)
        choice = choose(classifier, self._engines)
        for batch in self._batch_sizes():
            choice.engine.probabilities([torch.zeros(shape, dtype=torch.uint8)] * batch)
        batcher = Batcher(
            name,
            choice.engine.probabilities,
            self._thread,
            self._metrics,
            self._limits,
        )
        return ServedModel(classifier, choice, layers, batcher)

    def _batch_sizes(self) -> set[int]:
        """Sizes to warm up with; a compiled network is compiled for each power of two."""
        most = self._limits.max_batch
        sizes = {1, most}
        if self._engines.compiled:
            sizes |= {1 << power for power in range(most.bit_length())}
        return sizes


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 2)
