"""Runs a network with OpenVINO, on the CPU.

    Classifier --convert--> Model --OpenVinoEngine--> probabilities

The network is converted from the loaded PyTorch module, together with its normalisation and its
softmax, once for every checkpoint and version of OpenVINO; what was converted is kept on disk.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import structlog
import torch
from torch import Tensor, nn

from app.engines.engine import Kind
from app.vision.checkpoint import Card
from app.vision.classifier import Classifier
from app.vision.device import runs_bfloat16_in_onednn
from app.vision.preprocess import normalise
from app.vision.specs import InputSpec

log = structlog.stdlib.get_logger(__name__)

VERSION: str = openvino.__version__

FLOAT32 = Kind("openvino", "float32")
BFLOAT16 = Kind("openvino", "bfloat16")

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
_UNFINISHED = ".making-"
_LEFT_S = 3600.0  # no conversion takes so long


class OpenVinoEngine:
    """A network compiled for this processor, for batches of any size."""

    def __init__(self, model: openvino.Model, kind: Kind, *, threads: int) -> None:
        """Compile a network.

        Args:
            model: uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).
            kind: of OpenVINO, in float32, bfloat16 or, where the model is, int8.
            threads: how many compute.

        Raises:
            RuntimeError: OpenVINO cannot run the network.
        """
        self.kind = kind
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[_float_dtype(kind)],
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request = compiled.create_infer_request()

    def probabilities(self, pictures: Sequence[Tensor]) -> Tensor:
        """Classify prepared pictures, each uint8 (C, H, W): float32 (B, classes) on the CPU."""
        batch = np.stack([picture.numpy() for picture in pictures])  # (B, C, H, W)
        (answer,) = self._request.infer([batch], share_inputs=True).values()
        return torch.from_numpy(answer)


def _float_dtype(kind: Kind) -> str:
    """Return what floats are computed in; in a network in INT8, those that were not quantized."""
    if kind.dtype != "int8":
        return kind.dtype
    return "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether this processor computes bfloat16 faster than float32, as OpenVINO sees it.

    OpenVINO looks at the processor alone, and crashes where ONEDNN_MAX_CPU_ISA forbids what it saw.

    Raises:
        RuntimeError: the device is not a CPU.
    """
    if device.type != "cpu":
        raise RuntimeError(f"OpenVINO is used on CPUs only, not on {device}")
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities and runs_bfloat16_in_onednn()


class _Whole(nn.Module):
    """uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes)."""

    def __init__(self, network: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self._network = network
        self._spec = spec

    def forward(self, batch: Tensor) -> Tensor:
        outputs: Tensor = self._network(normalise(batch, self._spec))
        return outputs.softmax(dim=1)


def read_converted(card: Card, cache: Path) -> openvino.Model:
    """Read the converted network that was kept in the folder `cache`.

    Returns uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).

    Raises:
        RuntimeError: it is not there, or damaged.
    """
    return openvino.Core().read_model(_folder(card, cache) / "model.xml")


def convert(classifier: Classifier, cache: Path) -> openvino.Model:
    """Convert a network, which stays as it is, and keep the result in the folder `cache`.

    Tracing changes how every PyTorch module of the process is called: nothing may answer meanwhile.

    Returns uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).

    Raises:
        RuntimeError: it cannot be converted.
    """
    model = _traced(classifier)
    _keep(model, _folder(classifier.card, cache), classifier.card)
    return model


def _folder(card: Card, cache: Path) -> Path:
    return cache / f"{card.spec.name}-{card.digest}-{VERSION.partition('-')[0]}"


def _traced(classifier: Classifier) -> openvino.Model:
    spec = classifier.card.spec.input
    shape = (spec.channels, spec.height, spec.width)
    program = torch.export.export(
        _Whole(classifier.network.cpu(), spec).eval(),
        (torch.zeros(2, *shape, dtype=torch.uint8),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    model = openvino.convert_model(program)
    model.reshape([-1, *shape])
    return model


def _keep(model: openvino.Model, folder: Path, card: Card) -> None:
    """Put a model in its folder, whole or not at all, and remove those of other checkpoints."""
    name = card.spec.name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leavings(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_UNFINISHED) as temporary:
            made = Path(temporary, "made")
            openvino.save_model(model, made / "model.xml", compress_to_fp16=False)
            for old in folder.parent.glob(f"{name}-*"):
                shutil.rmtree(old, ignore_errors=True)
            made.replace(folder)
    except (OSError, RuntimeError) as error:  # no room: it is converted again at the next start
        log.warning("the converted network is not kept", model=name, error=str(error))


def _remove_leavings(folder: Path) -> None:
    """Remove what a process that was killed left behind."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _LEFT_S:
                shutil.rmtree(path, ignore_errors=True)
