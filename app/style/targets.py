"""Targets of the loss, with a cache of the Gram matrices of style images."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from app.style.images import to_tensor
from app.style.losses import (
    CONTENT_LAYER,
    ContentLoss,
    NormalizedWeighting,
    PaperWeighting,
    StyleLoss,
    StyleTransferLoss,
    blend,
    gram,
)
from app.style.options import STYLE_LAYERS, StyleOptions
from app.style.vgg import VGG19

Grams = tuple[Tensor, ...]


class StyleTargets:
    """A network with a cache of the Gram matrices of style images.

    The cache holds those of the last `capacity` pairs of image and size (2.4 MB each), so that
    painting many photographs in one style computes them once.
    """

    def __init__(self, network: VGG19, capacity: int = 32) -> None:
        self.network = network
        self._capacity = capacity
        self._grams: OrderedDict[tuple[bytes, tuple[int, int]], Grams] = OrderedDict()

    @torch.no_grad()
    def grams(self, style: Image.Image, size: tuple[int, int]) -> Grams:
        """Return the Gram matrices of an RGB image at (width, height): float32 (C, C) per layer."""
        key = hashlib.sha256(style.tobytes()).digest() + repr(style.size).encode(), size
        if key not in self._grams:
            picture = to_tensor(style, size, self.network.device)
            grams = self.network(picture, dict.fromkeys(STYLE_LAYERS, gram))
            self._grams[key] = tuple(grams[name] for name in STYLE_LAYERS)
            if len(self._grams) > self._capacity:
                self._grams.popitem(last=False)
        self._grams.move_to_end(key)
        return self._grams[key]

    @torch.no_grad()
    def loss(
        self,
        content: Tensor,
        styles: Sequence[Grams],
        options: StyleOptions,
        content_scale: float = 1.0,
    ) -> StyleTransferLoss:
        """Build the loss for a photograph (1, 3, H, W) and the Gram matrices of each style.

        The weight of the content term is multiplied by `content_scale`.
        """
        weighting = _weighting(options)
        photo = self.network(content, {CONTENT_LAYER: Tensor.detach})[CONTENT_LAYER]
        mixed = blend(styles, options.blend(len(styles)))
        return StyleTransferLoss(
            ContentLoss(photo, content_scale * weighting.content(photo)),
            {
                name: StyleLoss(target, weight * weighting.style(target))
                for name, target, weight in zip(
                    STYLE_LAYERS, mixed, options.layer_weights, strict=True
                )
            },
        )


def _weighting(options: StyleOptions) -> PaperWeighting | NormalizedWeighting:
    if options.content_weight is not None and options.style_weight is not None:
        return PaperWeighting(options.content_weight, options.style_weight)
    return NormalizedWeighting(options.strength)
