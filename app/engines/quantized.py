"""INT8 networks, stored as NAME.int8.xml and NAME.int8.bin beside their checkpoint.

`training.quantize` creates them from a checkpoint and some of its training images. Their
predictions differ slightly from float32, so that they are used only if the operator enables them.
"""

from dataclasses import dataclass
from pathlib import Path

import openvino

from app.engines.engine import EngineKind
from app.vision.checkpoint import ModelCard

KIND = EngineKind("openvino", "int8")

_ORIGIN = ["atelier", "checkpoint"]
_NOTE = ["atelier", "note"]


@dataclass(frozen=True)
class QuantizedModel:
    """An INT8 network: uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).

    `note` describes its accuracy.
    """

    model: openvino.Model
    note: str


def find(card: ModelCard, folder: Path) -> QuantizedModel | None:
    """Read the INT8 network of these weights; None if there is none.

    It may have been created for another input size.
    """
    path = path_of(card, folder)
    try:
        model = openvino.Core().read_model(path)
        if model.get_rt_info(_ORIGIN).value != _origin(card):
            return None
        note = str(model.get_rt_info(_NOTE).value)
    except RuntimeError:  # missing, damaged, or without the metadata that `save` writes
        return None
    spec = card.spec.input
    model.reshape([-1, spec.channels, spec.height, spec.width])
    return QuantizedModel(model, note)


def save(model: openvino.Model, card: ModelCard, note: str, folder: Path) -> Path:
    """Save an INT8 network beside its checkpoint; return its path."""
    model.set_rt_info(_origin(card), _ORIGIN)
    model.set_rt_info(note, _NOTE)
    path = path_of(card, folder)
    openvino.save_model(model, path)
    return path


def path_of(card: ModelCard, folder: Path) -> Path:
    """Return the path of a checkpoint's INT8 network."""
    return folder / f"{card.spec.name}.int8.xml"


def _origin(card: ModelCard) -> str:
    """Identify the weights and the normalization that an INT8 network contains."""
    spec = card.spec.input
    return f"{card.sha256} {spec.mean} {spec.std}"
