"""The loss of Gatys et al. with two weightings of its terms.

Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
`PaperWeighting` is that of the paper, for images in 0..255. `NormalizedWeighting` divides every
term by the magnitude of its target first, so that a strength means the same for every image, size
and network.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from app.style.vgg import VGG19

CONTENT_LAYER = "conv4_2"

STYLE_BALANCE = 4.0
"""Weight of the style relative to the content at strength 0.5; chosen by eye."""


@dataclass(frozen=True)
class PaperWeighting:
    """alpha * mean((F - P)^2) + beta * sum_l (w_l / C_l^2) * mean((G_l - A_l)^2)."""

    alpha: float
    beta: float

    def content(self, features: Tensor) -> float:
        """Return the weight of the content term for the photograph's features P."""
        del features
        return self.alpha

    def style(self, target: Tensor) -> float:
        """Return the weight of a layer's style term for its target A (C, C)."""
        return self.beta / target.shape[0] ** 2


@dataclass(frozen=True)
class NormalizedWeighting:
    """(1 - s) * mean((F - P)^2) / mean(P^2) + s * k / 5 * sum_l w_l mean((G - A)^2) / mean(A^2)."""

    strength: float

    def content(self, features: Tensor) -> float:
        """Return the weight of the content term for the photograph's features P."""
        return (1 - self.strength) / _mean_square(features)

    def style(self, target: Tensor) -> float:
        """Return the weight of a layer's style term for its target A (C, C)."""
        return self.strength * STYLE_BALANCE / 5 / _mean_square(target)


class ContentLoss(nn.Module):
    """`weight * mean((F - P)^2)` of features F (1, C, H, W) against a target P."""

    target: Tensor

    def __init__(self, target: Tensor, weight: float) -> None:
        super().__init__()
        self.register_buffer("target", target.detach())
        self.weight = weight

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighted loss, a scalar of at least float32."""
        difference = _at_least_float32(features) - _at_least_float32(self.target)
        return self.weight * difference.square().mean()


class StyleLoss(nn.Module):
    """`weight * mean((G - A)^2)` of the Gram matrix G of features against a target A (C, C)."""

    target: Tensor

    def __init__(self, target: Tensor, weight: float) -> None:
        super().__init__()
        self.register_buffer("target", target.detach())
        self.weight = weight

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighted loss, a scalar of at least float32."""
        return self.weight * (gram(features) - self.target).square().mean()


class StyleTransferLoss(nn.Module):
    """The sum of all terms, which are keyed by layer.

    The network evaluates the terms as taps on its layers, so that no features have to be stored.
    Terms of weight zero are omitted.
    """

    def __init__(self, content: ContentLoss, styles: Mapping[str, StyleLoss]) -> None:
        super().__init__()
        terms: dict[str, ContentLoss | StyleLoss] = {CONTENT_LAYER: content, **styles}
        self.terms = nn.ModuleDict({name: term for name, term in terms.items() if term.weight})

    def forward(
        self, image: Tensor, network: VGG19, *, recompute: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return the content and style loss of an image (1, 3, H, W), two weighted scalars.

        `recompute` saves memory, see `VGG19.forward`.
        """
        values = network(image, dict(self.terms.items()), recompute=recompute)
        content = values.pop(CONTENT_LAYER, image.new_zeros(()))
        return content, sum(values.values(), image.new_zeros(()))


def gram(features: Tensor) -> Tensor:
    """Return the Gram matrix F F^T / (H W) of features (1, C, H, W): (C, C), at least float32."""
    result: Tensor = _Gram.apply(features)
    return result


_CHUNK_ROWS = 1 << 15


class _Gram(torch.autograd.Function):
    """Gram matrix with one product in the backward pass; autograd would compute two."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        flat = _flatten(features)  # (H * W, C)
        with _exact_products(features.dtype):
            parts = map(_at_least_float32, torch.split(flat, _CHUNK_ROWS))
            products = (part.T @ part for part in parts)
            return sum(products, next(products)) / flat.shape[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        flat = _flatten(features)
        both = ((gradient + gradient.T) / flat.shape[0]).to(flat.dtype)
        _, channels, height, width = features.shape
        return (flat @ both).view(1, height, width, channels).permute(0, 3, 1, 2)


@contextmanager
def _exact_products(dtype: torch.dtype) -> Iterator[None]:
    """Allow bfloat16 hardware for float32 products of values that were bfloat16.

    The values are exact in bfloat16 and the sums stay in float32, so no precision is lost.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    if dtype is torch.bfloat16:
        matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def blend(grams: Sequence[Sequence[Tensor]], shares: Sequence[float]) -> list[Tensor]:
    """Average the Gram matrices of several styles for each layer."""
    return [
        torch.stack([share * matrix for share, matrix in zip(shares, layer, strict=True)]).sum(0)
        for layer in zip(*grams, strict=True)
    ]


def _flatten(features: Tensor) -> Tensor:
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])  # (H * W, C)


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()


def _mean_square(x: Tensor) -> float:
    return max(_at_least_float32(x).square().mean().item(), torch.finfo(torch.float32).tiny)
