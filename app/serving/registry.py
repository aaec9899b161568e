"""The models that this process serves, by name."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from app.engines.selection import Selection
from app.metrics import Metrics
from app.serving.errors import ModelUnavailableError, UnknownModelError, end_if_poisoned
from app.serving.loader import Loader, ServedModel
from app.vision.errors import CheckpointError

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Unavailable:
    """A model that cannot answer, and why."""

    reason: str


class ModelRegistry:
    """Knows each model; one that is missing or refused does not stop the others."""

    def __init__(
        self, names: Iterable[str], default: str, loader: Loader, metrics: Metrics
    ) -> None:
        """Create a registry of models that are yet to be loaded.

        Args:
            names: the models to serve, in the order in which they are listed.
            default: the model used when a request names none.
            loader: loads them.
            metrics: where to count.
        """
        self._models: dict[str, ServedModel | Unavailable] = dict.fromkeys(
            names, Unavailable("it is being loaded; try again in a moment")
        )
        self._default = default
        self._loader = loader
        self._metrics = metrics
        self._loaded = False

    @property
    def ready(self) -> bool:
        """Tell whether every model either answers or is known to be unavailable.

        The engine of a model that answers may still be pending, unless the selection needs
        the device's thread.
        """
        return self._loaded and not (self._loader.is_thread_needed and self.selecting)

    @property
    def selecting(self) -> list[str]:
        """Names of the models whose selection is pending, the default model first."""
        return [
            name
            for name in sorted(self._models, key=lambda each: each != self._default)
            if isinstance(model := self._models[name], ServedModel)
            and model.choice.selection is Selection.PENDING
        ]

    @property
    def models(self) -> dict[str, ServedModel | Unavailable]:
        """Every model by name, in the order given."""
        return dict(self._models)

    async def load(self) -> None:
        """Load and check every model.

        They answer once the last of them is loaded: until then, another model than the default one
        would answer those who name none.
        """
        started = time.perf_counter()
        loaded = {name: await self._load_or_refuse(name) for name in self._models}
        for name, model in loaded.items():
            self.put(name, model)
        self._loaded = True
        log.info("all models loaded", seconds=since(started))

    def put(self, name: str, model: ServedModel | Unavailable) -> None:
        """Answer new requests with this model.

        Requests that have the one before keep it until they are answered; then it is freed.
        """
        self._models[name] = model
        self._metrics.model_ready.labels(name).set(isinstance(model, ServedModel))

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

    async def _load_or_refuse(self, name: str) -> ServedModel | Unavailable:
        started = time.perf_counter()
        try:
            model = await self._loader.load(name)
        except CheckpointError as error:
            log.warning("model refused", model=name, reason=str(error))
            return Unavailable(str(error))
        except Exception as error:
            log.exception("model failed to load", model=name)
            end_if_poisoned(error)
            return Unavailable(f"it failed to load: {type(error).__name__}")
        log.info(
            "model ready",
            model=name,
            device=str(model.classifier.device),
            engine=str(model.choice.engine.kind),
            seconds=since(started),
        )
        return model


def since(started: float) -> float:
    """Seconds since a reading of `time.perf_counter`, for logs."""
    return round(time.perf_counter() - started, 2)
