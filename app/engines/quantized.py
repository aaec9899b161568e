"""Networks in INT8, as NAME.int8.xml and NAME.int8.bin beside the checkpoint they come from.

`training.quantize` makes them from a checkpoint and some of its training images. They answer nearly
as float32 does, so only an operator who asks for them gets them.
"""

from dataclasses import dataclass
from pathlib import Path

import openvino

from app.engines.engine import Kind
from app.vision.checkpoint import Card

KIND = Kind("openvino", "int8")

_MADE_FROM = ["atelier", "checkpoint"]
_NOTE = ["atelier", "note"]


@dataclass(frozen=True)
class Quantised:
    """A network in INT8: uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).

    `note` says how good it is.
    """

    model: openvino.Model
    note: str


def find(card: Card, folder: Path) -> Quantised | None:
    """Read the network in INT8 that was made from these weights; None where there is none.

    It may have been made at another input size.
    """
    path = path_of(card, folder)
    try:
        model = openvino.Core().read_model(path)
        if model.get_rt_info(_MADE_FROM).value != _origin(card):
            return None
        note = str(model.get_rt_info(_NOTE).value)
    except RuntimeError:  # not there, damaged, or without what `save` notes
        return None
    spec = card.spec.input
    model.reshape([-1, spec.channels, spec.height, spec.width])
    return Quantised(model, note)


def save(model: openvino.Model, card: Card, note: str, folder: Path) -> Path:
    """Keep a network in INT8 beside its checkpoint; returns where."""
    model.set_rt_info(_origin(card), _MADE_FROM)
    model.set_rt_info(note, _NOTE)
    path = path_of(card, folder)
    openvino.save_model(model, path)
    return path


def path_of(card: Card, folder: Path) -> Path:
    """Return the path of a checkpoint's network in INT8."""
    return folder / f"{card.spec.name}.int8.xml"


def _origin(card: Card) -> str:
    """Name what a network in INT8 contains: the weights and the normalisation."""
    spec = card.spec.input
    return f"{card.sha256} {spec.mean} {spec.std}"
