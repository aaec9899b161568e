"""Runs a network with OpenVINO, on the CPU.

The network is converted from the loaded PyTorch module, together with its normalisation and its
softmax, once for every checkpoint and version of OpenVINO; what was converted is kept on disk.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import torch
from torch import Tensor, nn

from app.engines.engine import Kind
from app.vision.checkpoint import Card
from app.vision.classifier import Classifier
from app.vision.preprocess import normalise
from app.vision.specs import InputSpec

VERSION: str = openvino.__version__

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoEngine:
    """A network compiled for this processor, for batches of any size."""

    def __init__(
        self, classifier: Classifier, dtype: torch.dtype, *, threads: int, cache: Path
    ) -> None:
        """Compile a network.

        Args:
            classifier: whose network to run; it stays as it is.
            dtype: float32 or bfloat16.
            threads: how many compute.
            cache: folder for what was converted.

        Raises:
            RuntimeError: OpenVINO cannot run the network.
        """
        self.kind = Kind("openvino", str(dtype).removeprefix("torch."))
        core = openvino.Core()
        compiled = core.compile_model(
            _converted(core, classifier, cache),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
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


def has_bfloat16() -> bool:
    """Whether this processor computes bfloat16 faster than float32, as OpenVINO sees it."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class _Whole(nn.Module):
    """uint8 (B, C, H, W), 0..255 -> probabilities, float32 (B, classes)."""

    def __init__(self, network: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self._network = network
        self._spec = spec

    def forward(self, batch: Tensor) -> Tensor:
        outputs: Tensor = self._network(normalise(batch, self._spec))
        return outputs.softmax(dim=1)


def _converted(core: openvino.Core, classifier: Classifier, cache: Path) -> openvino.Model:
    """Read what was kept, or convert the network and keep it."""
    card = classifier.card
    folder = cache / f"{card.spec.name}-{card.digest}-{VERSION.partition('-')[0]}"
    try:
        return core.read_model(folder / "model.xml")
    except RuntimeError:  # not there, or damaged
        model = _convert(classifier)
        _keep(model, folder, card)
        return model


def _convert(classifier: Classifier) -> openvino.Model:
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
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            made = Path(temporary, "made")
            openvino.save_model(model, made / "model.xml", compress_to_fp16=False)
            for old in folder.parent.glob(f"{card.spec.name}-*"):
                shutil.rmtree(old, ignore_errors=True)
            made.replace(folder)
    except OSError:
        return  # no room: it is converted again at the next start
