"""Registry of the models that this process serves."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from app.engines.selection import SelectionState
from app.metrics import Metrics
from app.serving.errors import ModelUnavailableError, UnknownModelError, end_process_on_device_error
from app.serving.loader import ModelLoader, ServedModel
from app.vision.errors import CheckpointError

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class UnavailableModel:
    """A model that cannot be used, and the reason."""

    reason: str


class ModelRegistry:
    """The served models by name. An unavailable model does not affect the others."""

    def __init__(
        self, names: Iterable[str], default: str, loader: ModelLoader, metrics: Metrics
    ) -> None:
        """Create a registry of models that have not been loaded yet.

        Args:
            names: the models to serve, in listing order.
            default: the model of requests without a model name.
            loader: the loader of the models.
            metrics: the metrics to update.
        """
        self._models: dict[str, ServedModel | UnavailableModel] = dict.fromkeys(
            names, UnavailableModel("The model is being loaded. Try again in a moment.")
        )
        self._default = default
        self._loader = loader
        self._metrics = metrics
        self._loaded = False

    @property
    def ready(self) -> bool:
        """True if every model is either available or known to be unavailable.

        The engine selection of an available model may still be pending, unless it needs the
        device's thread.
        """
        return self._loaded and not (self._loader.builds_on_device_thread and self.selecting)

    @property
    def selecting(self) -> list[str]:
        """Names of the models whose engine selection is pending, the default model first."""
        return [
            name
            for name in sorted(self._models, key=lambda each: each != self._default)
            if isinstance(model := self._models[name], ServedModel)
            and model.selection.state is SelectionState.PENDING
        ]

    @property
    def models(self) -> dict[str, ServedModel | UnavailableModel]:
        """All models by name, in listing order."""
        return dict(self._models)

    async def load(self) -> None:
        """Load and check every model.

        All models become available together. Otherwise another model could temporarily replace the
        default model for requests without a model name.
        """
        started = time.perf_counter()
        loaded = {name: await self._try_load(name) for name in self._models}
        for name, model in loaded.items():
            self.put(name, model)
        self._loaded = True
        log.info("all models loaded", seconds=elapsed_s(started))

    def put(self, name: str, model: ServedModel | UnavailableModel) -> None:
        """Use this model for new requests.

        Running requests keep the previous model until they are done; then it is freed.
        """
        self._models[name] = model
        self._metrics.model_ready.labels(name).set(isinstance(model, ServedModel))

    def get(self, name: str | None) -> ServedModel:
        """Return an available model; None means the default.

        Raises:
            UnknownModelError: there is no such model.
            ModelUnavailableError: the model is loading, or its checkpoint is missing or invalid.
        """
        if name is None:
            name = self._default_name()
        if name not in self._models:
            known = ", ".join(self._models)
            raise UnknownModelError(f"There is no model {name!r}. The models are: {known}.")
        model = self._models[name]
        if isinstance(model, UnavailableModel):
            raise ModelUnavailableError(f"The model {name!r} is not available. {model.reason}")
        return model

    def _default_name(self) -> str:
        preferred = [self._default, *self._models]
        usable = (name for name in preferred if isinstance(self._models.get(name), ServedModel))
        return next(usable, next(iter(self._models)))

    async def _try_load(self, name: str) -> ServedModel | UnavailableModel:
        started = time.perf_counter()
        try:
            model = await self._loader.load(name)
        except CheckpointError as error:
            log.warning("model refused", model=name, reason=str(error))
            return UnavailableModel(str(error))
        except Exception as error:
            log.exception("model failed to load", model=name)
            end_process_on_device_error(error)
            return UnavailableModel(f"The model failed to load: {type(error).__name__}.")
        log.info(
            "model ready",
            model=name,
            device=str(model.classifier.device),
            engine=str(model.selection.engine.kind),
            seconds=elapsed_s(started),
        )
        return model


def elapsed_s(started: float) -> float:
    """Return the seconds since a reading of `time.perf_counter`, rounded for logs."""
    return round(time.perf_counter() - started, 2)
