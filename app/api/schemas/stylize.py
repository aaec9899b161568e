"""Request bodies of `POST /stylize`, of estimates and of continued paintings."""

from dataclasses import MISSING, asdict, fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from app.api.openapi import without_null
from app.api.schemas.common import Schema
from app.api.schemas.media import BINARY, REFERENCES
from app.style.builtin import NAMES
from app.style.options import (
    LARGEST_SEED,
    LARGEST_WEIGHT,
    MAX_STYLE_SCALE,
    MIN_SIZE_PX,
    MIN_STYLE_SCALE,
    STYLE_LAYERS,
    Color,
    Init,
    Quality,
    StyleOptions,
)

_NUMBER = r"(\d{1,12}|\d{0,12}\.\d{1,12})"


def _numbers(description: str, example: str, counts: str) -> WithJsonSchema:
    """Return a text field of comma-separated numbers; `counts` is a pattern of their number."""
    return WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_NUMBER}(,{_NUMBER}){counts}$",
            "description": description,
            "examples": [example],
        }
    )


Size = Annotated[
    int,
    Field(
        ge=MIN_SIZE_PX,
        description="longest side of the result, px; the operator sets the largest (2048)",
    ),
]
StyleScale = Annotated[
    float,
    Field(
        ge=MIN_STYLE_SCALE,
        le=MAX_STYLE_SCALE,
        description="longest side of the style picture, as a multiple of the result's",
    ),
]
Strength = Annotated[
    float, Field(ge=0, le=1, description="share of the style: 0 is the photograph, 1 is the style")
]
Weight = Annotated[float, Field(ge=0, le=LARGEST_WEIGHT)]
Steps = Annotated[Quality, Field(description="how long to work on it")]


class EstimateIn(BaseModel):
    """The options of a stylize request, without its pictures."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(ge=1, le=1_000_000, description="of the photograph, px", examples=[4000])
    height: int = Field(ge=1, le=1_000_000, description="of the photograph, px", examples=[3000])
    size: Size | None = None
    quality: Steps | None = None
    style_scale: StyleScale | None = None
    styles: int = Field(1, ge=1, le=64, description="number of style pictures")

    def options(self) -> StyleOptions:
        """Return the options of the painting."""
        names = {"size", "quality", "style_scale"}
        return StyleOptions(**self.model_dump(exclude_none=True, include=names))


class EstimateOut(Schema):
    """The cost of a painting; null while no worker has measured its speed."""

    seconds: float | None = Field(description="of work", examples=[28.0])
    bytes: int | None = Field(description="of the worker's memory", examples=[1743964672])
    width: int = Field(description="of the result, px", examples=[512])
    height: int = Field(description="of the result, px", examples=[384])


class ContinueIn(BaseModel):
    """The options to change in a continued painting."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"size": 1024}]})

    size: int | None = Field(None, description="at least the size of the painting")
    quality: Quality | None = Field(None, description="how many steps more")
    strength: Strength | None = None


class StylizeFields(BaseModel):
    """The fields of a stylize request. Missing fields have the defaults of `StyleOptions`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    style_name: list[str] = Field([], description="built-in styles, see `GET /styles`")
    style_weights: (
        Annotated[
            tuple[float, ...], _numbers("shares of the styles; default: equal", "2,1", "{0,63}")
        ]
        | None
    ) = None
    size: Size | None = None
    quality: Steps | None = None
    strength: Strength | None = None
    content_weight: Weight | None = Field(
        None, description="alpha of Gatys et al., instead of `strength`; with `style_weight`"
    )
    style_weight: Weight | None = Field(None, description="beta, with `content_weight`")
    layer_weights: (
        Annotated[
            tuple[float, ...],
            _numbers(f"of {', '.join(STYLE_LAYERS)}; not all 0", "1,1,1,1,1", "{4}"),
        ]
        | None
    ) = None
    color: Color | None = Field(
        None,
        description="the source of the colors: `style`; `content`, the photograph; or `match`, a "
        "style recolored like the photograph",
    )
    style_scale: StyleScale | None = None
    init: Init | None = Field(None, description="the picture that the optimization starts from")
    seed: int | None = Field(
        None, ge=0, le=LARGEST_SEED, description="seed of the noise; default: random"
    )
    format: Literal["png", "jpeg", "webp"] = Field("png", description="of the result")

    @field_validator("style_weights", "layer_weights", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.strength is not None and self.content_weight is not None:
            raise ValueError("strength and content_weight exclude each other")
        self.options()
        return self

    def options(self) -> StyleOptions:
        """Return the options, with a random seed if none was sent."""
        given = self.model_dump(exclude_none=True, exclude={"style_name", "format"})
        return StyleOptions(**given)

    def canonical(self) -> dict[str, Any]:
        """Return all fields as JSON types, with defaults; a missing seed is null."""
        options = {**asdict(self.options()), "seed": self.seed}
        return {**options, "style_name": self.style_name, "format": self.format}


def form_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of the form, including the pictures."""
    schema = StylizeFields.model_json_schema(ref_template=REFERENCES)
    described = {name: without_null(each) for name, each in schema["properties"].items()}
    for option in fields(StyleOptions):
        described[option.name].pop("default", None)
        if option.default is not MISSING and isinstance(option.default, str | int | float):
            described[option.name]["default"] = option.default
    described["style_name"] |= {"items": {"type": "string", "enum": list(NAMES)}, "minItems": 1}
    pictures = {
        "content": {**BINARY, "description": "the photograph"},
        "style": {
            "type": "array",
            "items": BINARY,
            "minItems": 1,
            "description": "style pictures, instead of `style_name`",
        },
    }
    weighted = {
        "required": ["content_weight", "style_weight"],
        **_without("strength"),
        "anyOf": [_positive("content_weight"), _positive("style_weight")],
    }
    return {
        **schema,
        "properties": pictures | described,
        "required": ["content"],
        "allOf": [
            {"oneOf": [{"required": ["style"]}, {"required": ["style_name"]}]},
            {"oneOf": [_without("content_weight", "style_weight"), weighted]},
        ],
    }


def _positive(name: str) -> dict[str, Any]:
    return {"properties": {name: {"exclusiveMinimum": 0}}}


def _without(*names: str) -> dict[str, Any]:
    return {"properties": dict.fromkeys(names, False)}
