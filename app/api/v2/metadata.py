"""`GET /v2` and `GET /v2/models`: what the server is, and what its models take and answer."""

from fastapi import APIRouter

from app import __version__
from app.api.errors import in_protocol_form, problem_responses
from app.api.v2 import output_tensors
from app.api.v2.deps import FAILURES, ServedDep, ServedVersionDep
from app.api.v2.schemas import ModelMetadata, ModelReady, ServerMetadata
from app.api.v2.signature import kinds
from app.serving.loader import ServedModel

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

_FAILURES = in_protocol_form(problem_responses(*FAILURES))


@router.get("")
async def server_metadata() -> ServerMetadata:
    """Show what the server is, and which extensions of the protocol it knows."""
    return ServerMetadata(
        name="atelier", version=__version__, extensions=["binary_tensor_data", "classification"]
    )


@router.get("/models/{model_name}", responses=_FAILURES)
async def model_metadata(model: ServedDep) -> ModelMetadata:
    """Show what a model takes and answers."""
    return _described(model)


@router.get("/models/{model_name}/versions/{model_version}", responses=_FAILURES)
async def model_version_metadata(model: ServedVersionDep) -> ModelMetadata:
    """Show what a model takes and answers, if it is served in this version."""
    return _described(model)


@router.get("/models/{model_name}/ready", responses=_FAILURES)
async def model_ready(model: ServedDep) -> ModelReady:
    """Answer 200 while the model answers."""
    return ModelReady(name=model.classifier.card.spec.name)


@router.get("/models/{model_name}/versions/{model_version}/ready", responses=_FAILURES)
async def model_version_ready(model: ServedVersionDep) -> ModelReady:
    """Answer 200 while the model answers, in this version."""
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
