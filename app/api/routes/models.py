"""`GET /models`: the served models, their layers and their metrics."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.deps import ServicesDep
from app.api.errors import problem_responses
from app.api.schemas.common import (
    DataOut,
    InputOut,
    LayerOut,
    MetricsOut,
    ModelOut,
    ModelsOut,
    ScoresOut,
    UnavailableModelOut,
)
from app.serving.errors import UnknownModelError
from app.serving.loader import ServedModel
from app.serving.registry import UnavailableModel

router = APIRouter(tags=["models"])

ModelName = Annotated[str, Path(description="one of `GET /models`", examples=["cifar10"])]


@router.get("/models")
async def list_models(services: ServicesDep) -> ModelsOut:
    """List all models. One without a usable checkpoint is listed with the reason."""
    models = services.registry.models.items()
    return ModelsOut(models=[_describe(name, model) for name, model in models])


@router.get("/models/{name}", responses=problem_responses(UnknownModelError))
async def show_model(name: ModelName, services: ServicesDep) -> ModelOut | UnavailableModelOut:
    """Show one model."""
    models = services.registry.models
    if name not in models:
        raise UnknownModelError(f"There is no model {name!r}. The models are: {', '.join(models)}.")
    return _describe(name, models[name])


def _describe(name: str, model: ServedModel | UnavailableModel) -> ModelOut | UnavailableModelOut:
    if isinstance(model, UnavailableModel):
        return UnavailableModelOut(name=name, reason=model.reason)
    classifier = model.classifier
    card = classifier.card
    return ModelOut(
        name=name,
        version=card.version,
        classes=list(card.spec.classes),
        input=InputOut.model_validate(card.spec.input),
        parameters=sum(layer.parameters for layer in model.layers),
        layers=[LayerOut.model_validate(layer) for layer in model.layers],
        metrics=MetricsOut(
            data=DataOut.model_validate(card.data),
            validation=ScoresOut.model_validate(card.validation),
            test=ScoresOut.model_validate(card.test),
        ),
        sha256=card.sha256,
        engine=model.selection.engine.kind.name,
        engine_reason=model.selection.reason,
        engine_selection=model.selection.state,
        device=str(classifier.device),
        dtype=model.selection.engine.kind.dtype,
    )
