"""Dependencies of the protocol's endpoints: the model that the path names."""

from typing import Annotated

from fastapi import Depends, Path

from app.api.deps import ServicesDep
from app.api.v2.errors import UnknownVersionError
from app.serving.errors import ModelUnavailableError, UnknownModelError
from app.serving.loader import ServedModel

FAILURES = (UnknownModelError, ModelUnavailableError, UnknownVersionError)
"""Errors of a model in a path."""

ModelName = Annotated[str, Path(description="one of `GET /models`", examples=["cifar10"])]
ModelVersion = Annotated[
    str, Path(description="the version in the model's metadata", examples=["2cedba750755"])
]


async def _served(model_name: ModelName, services: ServicesDep) -> ServedModel:
    return services.registry.get(model_name)


ServedDep = Annotated[ServedModel, Depends(_served)]


async def _served_version(model: ServedDep, model_version: ModelVersion) -> ServedModel:
    if model_version != model.version:
        name = model.classifier.card.spec.name
        raise UnknownVersionError(
            f"model {name!r} has no version {model_version!r}; the served version is "
            f"{model.version!r}"
        )
    return model


ServedVersionDep = Annotated[ServedModel, Depends(_served_version)]
