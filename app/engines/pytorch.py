"""Execution of a network with PyTorch, in a layout and precision that suit the device."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from app.engines.engine import EngineKind
from app.vision.classifier import Classifier
from app.vision.preprocess import normalize


class ReferenceEngine:
    """The loaded network in float32, the reference for every other engine."""

    kind = EngineKind("torch", "float32")

    def __init__(self, classifier: Classifier) -> None:
        self.probabilities = classifier.probabilities


class PyTorchEngine:
    """The network in channels-last layout; with bfloat16, it uses autocast.

    On CUDA, images are copied asynchronously from pinned memory. A compiled network runs as a CUDA
    graph for each batch size; batches are padded to powers of two, so that there are few graphs.
    """

    def __init__(
        self, classifier: Classifier, dtype: torch.dtype, *, compiled: bool = False
    ) -> None:
        self.kind = EngineKind("torch", str(dtype).removeprefix("torch."))
        self._input = classifier.card.spec.input
        self._device = classifier.device
        self._cuda = self._device.type == "cuda"
        self._dtype = dtype
        self._compiled = compiled
        network = copy.deepcopy(classifier.network).to(memory_format=torch.channels_last)
        self._network = (
            torch.compile(network, mode="reduce-overhead", dynamic=False) if compiled else network
        )

    @torch.inference_mode()
    def probabilities(self, images: Sequence[Tensor]) -> Tensor:
        """Classify preprocessed images, each uint8 (C, H, W): float32 (B, classes) on the CPU."""
        batch = torch.stack(list(images))  # (B, C, H, W)
        if self._compiled:
            batch = _padded(batch)
        if self._cuda:
            batch = batch.pin_memory().to(self._device, non_blocking=True)
        inputs = normalize(batch, self._input).contiguous(memory_format=torch.channels_last)
        is_reduced = self._dtype is not torch.float32
        with torch.autocast(self._device.type, self._dtype, enabled=is_reduced):
            outputs: Tensor = self._network(inputs)
        return outputs[: len(images)].float().softmax(dim=1).cpu()


def _padded(batch: Tensor) -> Tensor:
    """Pad the batch to the next power of two with copies of the last image."""
    size = 1 << (len(batch) - 1).bit_length()
    return torch.cat([batch, batch[-1:].expand(size - len(batch), *batch.shape[1:])])
