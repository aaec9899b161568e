"""Execution of a network with OpenVINO, on the CPU.

    Classifier --convert--> Model --OpenVinoEngine--> probabilities

The network is converted from the loaded PyTorch module, together with its normalization and its
softmax, once for every checkpoint and version of OpenVINO. The result is cached on disk.
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

from app.engines.engine import EngineKind
from app.vision.checkpoint import ModelCard
from app.vision.classifier import Classifier
from app.vision.device import runs_bfloat16_in_onednn
from app.vision.preprocess import normalize
from app.vision.specs import InputSpec

log = structlog.stdlib.get_logger(__name__)

VERSION: str = openvino.__version__

FLOAT32 = EngineKind("openvino", "float32")
BFLOAT16 = EngineKind("openvino", "bfloat16")

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
_TEMPORARY_PREFIX = ".making-"
_STALE_S = 3600.0  # no conversion takes that long


class OpenVinoEngine:
    """A network compiled for this processor, for batches of any size."""

    def __init__(self, model: openvino.Model, kind: EngineKind, *, threads: int) -> None:
        """Compile a network.

        Args:
            model: uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).
            kind: OpenVINO in float32, bfloat16 or, for a quantized model, int8.
            threads: number of compute threads.

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

    def probabilities(self, images: Sequence[Tensor]) -> Tensor:
        """Classify preprocessed images, each uint8 (C, H, W): float32 (B, classes) on the CPU."""
        batch = np.stack([image.numpy() for image in images])  # (B, C, H, W)
        (output,) = self._request.infer([batch], share_inputs=True).values()
        return torch.from_numpy(output)


def _float_dtype(kind: EngineKind) -> str:
    """Return the dtype of floats; in an INT8 network, of those that are not quantized."""
    if kind.dtype != "int8":
        return kind.dtype
    return "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether OpenVINO computes bfloat16 faster than float32 on this processor.

    OpenVINO checks only the processor, and crashes if ONEDNN_MAX_CPU_ISA forbids what it detected.

    Raises:
        RuntimeError: the device is not a CPU.
    """
    if device.type != "cpu":
        raise RuntimeError(f"OpenVINO is used on CPUs only, not on {device}")
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities and runs_bfloat16_in_onednn()


class _EndToEnd(nn.Module):
    """Normalization, network and softmax: uint8 (B, C, H, W) -> float32 (B, classes)."""

    def __init__(self, network: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self._network = network
        self._spec = spec

    def forward(self, batch: Tensor) -> Tensor:
        outputs: Tensor = self._network(normalize(batch, self._spec))
        return outputs.softmax(dim=1)


def read_converted(card: ModelCard, cache: Path) -> openvino.Model:
    """Read the converted network from the folder `cache`.

    Returns uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).

    Raises:
        RuntimeError: it is missing or damaged.
    """
    return openvino.Core().read_model(_folder(card, cache) / "model.xml")


def convert(classifier: Classifier, cache: Path) -> openvino.Model:
    """Convert a network, which is not changed, and save the result in the folder `cache`.

    Tracing changes how every PyTorch module of the process is called: no network may run meanwhile.

    Returns uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes).

    Raises:
        RuntimeError: it cannot be converted.
    """
    model = _traced(classifier)
    _save(model, _folder(classifier.card, cache), classifier.card)
    return model


def _folder(card: ModelCard, cache: Path) -> Path:
    return cache / f"{card.spec.name}-{card.digest}-{VERSION.partition('-')[0]}"


def _traced(classifier: Classifier) -> openvino.Model:
    spec = classifier.card.spec.input
    shape = (spec.channels, spec.height, spec.width)
    program = torch.export.export(
        _EndToEnd(classifier.network.cpu(), spec).eval(),
        (torch.zeros(2, *shape, dtype=torch.uint8),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    model = openvino.convert_model(program)
    model.reshape([-1, *shape])
    return model


def _save(model: openvino.Model, folder: Path, card: ModelCard) -> None:
    """Save a model in its folder atomically, and remove those of other checkpoints."""
    name = card.spec.name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_folders(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_TEMPORARY_PREFIX) as temporary:
            made = Path(temporary, "made")
            openvino.save_model(model, made / "model.xml", compress_to_fp16=False)
            for old in folder.parent.glob(f"{name}-*"):
                shutil.rmtree(old, ignore_errors=True)
            made.replace(folder)
    except (
        OSError,
        RuntimeError,
    ) as error:  # such as a full disk: the network is converted again at the next start
        log.warning("the converted network cannot be cached", model=name, error=str(error))


def _remove_stale_folders(folder: Path) -> None:
    """Remove the temporary folders of killed processes."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _STALE_S:
                shutil.rmtree(path, ignore_errors=True)
