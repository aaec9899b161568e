"""Checkpoints on disk: the state_dict in NAME.pt, its description in NAME.json."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from app.files import atomic_write, sync_file
from app.vision.errors import CheckpointError, MissingCheckpointError
from app.vision.scores import Scores
from app.vision.specs import ModelSpec


@dataclass(frozen=True)
class TrainingData:
    """Training set of a model. `split` identifies the exact train/validation split."""

    name: str
    source: str
    split: str
    train_count: int

    def __post_init__(self) -> None:
        texts = (self.name, self.source, self.split)
        if not all(isinstance(text, str) for text in texts) or type(self.train_count) is not int:
            raise TypeError("name, source and split must be strings, and train_count an integer")


@dataclass(frozen=True)
class ModelCard:
    """The sidecar: everything about a checkpoint except its weights."""

    spec: ModelSpec
    data: TrainingData
    validation: Scores
    test: Scores
    training: dict[str, Any]
    versions: dict[str, str]
    created_at: str
    sha256: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str):
            raise TypeError("sha256 must be a string")
        if not self.spec.classes == tuple(self.validation.classes) == tuple(self.test.classes):
            raise ValueError("the classes of the scores differ from those of the spec")

    @property
    def version(self) -> str:
        """Short identifier of these weights."""
        return self.sha256[:12]

    @property
    def digest(self) -> str:
        """Short identifier of these weights together with this spec."""
        spec = json.dumps(self.spec.to_json(), sort_keys=True)
        return hashlib.sha256(f"{self.sha256} {spec}".encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """Return the card as JSON types, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Parse a card; raise KeyError, TypeError or ValueError if it is invalid."""
        return cls(
            **{
                **value,
                "spec": ModelSpec.from_json(value["spec"]),
                "data": TrainingData(**value["data"]),
                "validation": Scores.from_json(value["validation"]),
                "test": Scores.from_json(value["test"]),
            }
        )


def load_card(name: str, folder: Path) -> ModelCard:
    """Read `NAME.json`.

    Raises:
        CheckpointError: the file is missing, not a card, or the card of another model.
    """
    path = folder / f"{name}.json"
    try:
        card = ModelCard.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise MissingCheckpointError(
            f"There is no {path.name} in {folder.name}/. Train the model first."
        ) from None
    except Exception as error:  # an invalid card may raise almost any type
        raise CheckpointError(f"{path.name} cannot be read: {error!r}.") from error
    if card.spec.name != name:
        raise CheckpointError(f"{path.name} describes the model {card.spec.name!r}.")
    return card


def load(name: str, folder: Path) -> tuple[ModelCard, nn.Module]:
    """Load a checkpoint onto the CPU, in eval mode, and check it against its card.

    Raises:
        CheckpointError: a file is missing or damaged, or the weights do not fit the network.
    """
    card = load_card(name, folder)
    path = folder / f"{name}.pt"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise CheckpointError(f"{path.name} does not match the SHA-256 in {name}.json.")
    network = card.spec.build()
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        network.load_state_dict(state, strict=True)
    except Exception as error:  # on hostile files torch.load raises almost any type
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path.name} is not a state_dict of this network: {reason}."
        ) from error
    _check_runs(network, card)
    return card, network.eval().requires_grad_(False)


def save(card: ModelCard, state: Mapping[str, Tensor], folder: Path) -> ModelCard:
    """Write `NAME.pt` and `NAME.json`, each atomically; return the card with its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    card = replace(card, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    sidecar = json.dumps(card.to_json(), indent=2, ensure_ascii=False) + "\n"
    # Both files are on disk before either is renamed. After a crash between the two renames the
    # hash does not match, and `load` reports it.
    with (
        atomic_write(folder / f"{card.spec.name}.pt") as weights_file,
        atomic_write(folder / f"{card.spec.name}.json") as sidecar_file,
    ):
        weights_file.write(buffer.getvalue())
        sync_file(weights_file)
        sidecar_file.write(sidecar.encode())
    return card


def _check_runs(network: nn.Module, card: ModelCard) -> None:
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise CheckpointError(f"{card.spec.name}.pt has weights that are not finite.")
    spec = card.spec.input
    try:
        with torch.inference_mode():
            shape = network.eval()(torch.zeros(1, spec.channels, spec.height, spec.width)).shape
    except RuntimeError as error:
        raise CheckpointError(f"{card.spec.name}.pt does not accept its input: {error}.") from error
    if shape != (1, len(card.spec.classes)):
        raise CheckpointError(f"{card.spec.name}.pt returns the wrong shape {tuple(shape)}.")
