"""What `POST /stylize` and its relatives take, field by field."""

from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.api.schemas import Schema
from app.style.options import Color, Init, Quality, StyleOptions


class EstimateIn(BaseModel):
    """The numbers of a stylize request, without its pictures."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(ge=1, le=1_000_000, description="of the photograph, px")
    height: int = Field(ge=1, le=1_000_000, description="of the photograph, px")
    size: int | None = None
    quality: Quality | None = None
    style_scale: float | None = None
    styles: int = Field(1, ge=1, le=64, description="how many style pictures")

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        self.options()
        return self

    def options(self) -> StyleOptions:
        """Return the options of such a painting."""
        names = {"size", "quality", "style_scale"}
        return StyleOptions(**self.model_dump(exclude_none=True, include=names))


class EstimateOut(Schema):
    """What a painting costs; null while no worker has measured what its work costs."""

    seconds: float | None
    bytes: int | None = Field(description="of the worker's memory")
    width: int = Field(description="of the result, px")
    height: int = Field(description="of the result, px")


class ContinueIn(BaseModel):
    """What is to be different in a painting that is gone on with."""

    model_config = ConfigDict(extra="forbid")

    size: int | None = Field(None, description="at least the painting's")
    quality: Quality | None = Field(None, description="how many steps more")
    strength: float | None = Field(None, ge=0, le=1)


class StylizeFields(BaseModel):
    """The text fields of a stylize request. What is not sent keeps `StyleOptions`' default."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    style_name: list[str] = Field([], description="built-in styles, see `GET /styles`")
    style_weights: tuple[float, ...] | None = Field(None, description="shares of the styles: 2,1")
    size: int | None = None
    quality: Quality | None = None
    strength: float | None = None
    content_weight: float | None = None
    style_weight: float | None = None
    layer_weights: tuple[float, ...] | None = None
    color: Color | None = None
    style_scale: float | None = None
    init: Init | None = None
    seed: int | None = None
    format: Literal["png", "jpeg", "webp"] = "png"

    @field_validator("style_weights", "layer_weights", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.strength is not None and self.content_weight is not None:
            raise ValueError("strength and content_weight exclude each other")
        self.options()
        return self

    def options(self) -> StyleOptions:
        """Return the options; a seed that was not sent is drawn."""
        given = self.model_dump(exclude_none=True, exclude={"style_name", "format"})
        return StyleOptions(**given)

    def canonical(self) -> dict[str, Any]:
        """Return all fields as JSON types, defaults filled in; a seed that was not sent is null."""
        options = {**asdict(self.options()), "seed": self.seed}
        return {**options, "style_name": self.style_name, "format": self.format}


def form_schema() -> dict[str, Any]:
    """Describe the whole form, pictures included, as OpenAPI has it."""
    schema = StylizeFields.model_json_schema()
    image = {"type": "string", "format": "binary"}
    pictures = {"content": image, "style": {"type": "array", "items": image}}
    return {**schema, "properties": pictures | schema["properties"], "required": ["content"]}
