"""A fixed 3x3 convolution with a ReLU, optimized for the device.

Only the gradient with respect to the input is needed. For a 3x3 convolution with a padding of one,
the gradient is such a convolution too, with the kernel rotated by 180 degrees and its channels
swapped. On a CPU, both directions run in oneDNN with kernels packed in its own layout beforehand,
and with the ReLU fused.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.vision.device import runs_bfloat16_in_onednn

_WINDOW = ([1, 1], [1, 1], [1, 1], 1)  # padding, stride, dilation, groups
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_convolution_pointwise"
)


class ConvReLU(nn.Module):
    """`relu(conv(x))`: (1, in, H, W) -> (1, out, H, W), computed in any dtype.

    The result has the requested dtype. A float32 input of a bfloat16 convolution (the image) is
    split into two bfloat16 parts, so that it is not rounded to 8 bits.
    """

    kernel: Tensor
    bias: Tensor

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias)
        self._packed: tuple[object, Tensor, Tensor] | None = None

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Apply convolution and ReLU; differentiable once, with respect to `x` only."""
        is_split = x.dtype != dtype
        x = _split(x, dtype) if is_split else x
        bias = self.bias.to(dtype)
        if not (x.requires_grad and _can_pack(x)):
            kernel = self._kernel(dtype, is_split)
            return functional.relu_(functional.conv2d(x, kernel, bias, padding=1))
        key = (x.shape, dtype)
        if self._packed is None or self._packed[0] != key:
            kernel = self._kernel(dtype, is_split)
            rotated = kernel.flip(2, 3).transpose(0, 1)
            self._packed = key, _pack(kernel, x), _pack(rotated, x)
        _, forward, backward = self._packed
        result: Tensor = _PackedConvReLU.apply(x, forward, bias, backward)
        return result

    def _kernel(self, dtype: torch.dtype, is_split: bool) -> Tensor:
        kernel = self.kernel.to(dtype)
        return torch.cat((kernel, kernel), dim=1) if is_split else kernel


def _can_pack(x: Tensor) -> bool:
    if not _HAS_ONEDNN or x.device.type != "cpu":
        return False
    return x.dtype is torch.float32 or (x.dtype is torch.bfloat16 and runs_bfloat16_in_onednn())


class _PackedConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Tensor, bias: Tensor, backward: Tensor) -> Tensor:
        y = _onednn(x, forward, bias, "relu")
        ctx.save_for_backward(y)
        ctx.backward_kernel = backward
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (y,) = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        return _onednn(gradient, ctx.backward_kernel, None, "none"), None, None, None


def _onednn(x: Tensor, kernel: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, kernel, bias, *_WINDOW, activation, [], ""
    )
    return result


def _pack(kernel: Tensor, x: Tensor) -> Tensor:
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    shape = [1, kernel.shape[1], *x.shape[2:]]
    result: Tensor = torch.ops.mkldnn._reorder_convolution_weight(kernel, *_WINDOW, shape)
    return result


def _split(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Split `x` into two tensors of another dtype that add up to it, stacked as channels."""
    coarse = x.to(dtype)
    fine = (x - coarse.detach()).to(dtype).detach()
    return torch.cat((coarse, fine), dim=1).contiguous(memory_format=torch.channels_last)
