"""`GET /v2` and `GET /v2/models`: metadata of the server and its models."""

from fastapi import APIRouter

from app import __version__
from app.api.v2 import output_tensors
from app.api.v2.deps import FAILURES, ServedDep, ServedVersionDep
from app.api.v2.errors import protocol_responses
from app.api.v2.schemas import ModelMetadata, ModelReady, ServerMetadata
from app.api.v2.signature import kinds
from app.serving.loader import ServedModel

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

_FAILURES = protocol_responses(*FAILURES)


@router.get("")
async def server_metadata() -> ServerMetadata:
    """Return the server's name, version and protocol extensions."""
    return ServerMetadata(
        name="atelier", version=__version__, extensions=["binary_tensor_data", "classification"]
    )


@router.get("/models/{model_name}", responses=_FAILURES)
async def model_metadata(model: ServedDep) -> ModelMetadata:
    """Return the inputs and outputs of a model."""
    return _described(model)


@router.get("/models/{model_name}/versions/{model_version}", responses=_FAILURES)
async def model_version_metadata(model: ServedVersionDep) -> ModelMetadata:
    """Return the inputs and outputs of a model, if this version is served."""
    return _described(model)


@router.get("/models/{model_name}/ready", responses=_FAILURES)
async def model_ready(model: ServedDep) -> ModelReady:
    """Return 200 while the model is served."""
    return ModelReady(name=model.classifier.card.spec.name)


@router.get("/models/{model_name}/versions/{model_version}/ready", responses=_FAILURES)
async def model_version_ready(model: ServedVersionDep) -> ModelReady:
    """Return 200 while this version of the model is served."""
    return ModelReady(name=model.classifier.card.spec.name)


def _described(model: ServedModel) -> ModelMetadata:
    spec = model.classifier.card.spec
    return ModelMetadata(
        name=spec.name,
        versions=[model.version],
        platform=model.selection.engine.kind.name,
        inputs=kinds(spec.input),
        outputs=[output_tensors.output_metadata(spec.classes)],
    )
