"""The least time that a step can take on this host: its arithmetic at the fastest rate there is."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from app.style.options import STYLE_LAYERS
from app.style.vgg import VGG19
from app.vision.device import choose_device

_ROUNDS = 8


def floor_s(width: int, height: int) -> tuple[float, float, float]:
    """Seconds, with the GFLOP of a step at this size and the GFLOP/s that they stand on."""
    network = VGG19.load(choose_device("cpu"))
    gflop = step_gflop(network, width * height)
    gflop_per_s = peak_gflop_per_s(network.dtype)
    return gflop / gflop_per_s, gflop, gflop_per_s


def step_gflop(network: VGG19, pixels: int) -> float:
    """Multiplications and additions of the convolutions and Gram matrices, both ways."""
    total = 0.0
    for name, layer in network.named_children():
        there = pixels / 4 ** (int(name[len("conv")]) - 1)
        kernel = layer.get_buffer("kernel")
        total += 2 * 2 * there * kernel.numel()
        if name in STYLE_LAYERS:
            total += 2 * 2 * there * kernel.shape[0] ** 2
    return total / 1e9


@torch.no_grad()
def peak_gflop_per_s(dtype: torch.dtype) -> float:
    """Return the rate of a large matrix product or convolution, whichever is faster."""
    matrix = torch.randn(2048, 2048).to(dtype)
    last = torch.channels_last
    picture = torch.randn(1, 256, 128, 128).to(dtype).contiguous(memory_format=last)
    kernel = torch.randn(256, 256, 3, 3).to(dtype).contiguous(memory_format=last)
    product = 2 * 2048**3 / _fastest_s(lambda: matrix @ matrix)
    convolution = (
        2 * 9 * 256**2 * 128**2 / _fastest_s(lambda: functional.conv2d(picture, kernel, padding=1))
    )
    return max(product, convolution) / 1e9


def _fastest_s(work: Callable[[], Tensor]) -> float:
    durations = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return min(durations)
