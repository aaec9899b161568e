"""Random variations of training images, a whole batch at a time.

Every augmentation is a frozen dataclass of its options, callable on uint8 (B, C, H, W), 0..255,
and returns the same dtype and shape. Randomness comes from torch's
global generator of the images' device.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation(ABC):
    """An augmentation of a batch of training images."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Return an augmented copy: uint8 (B, C, H, W), 0..255, as the input."""

    def to_json(self) -> dict[str, Any]:
        """Name the augmentation and its options."""
        return {"name": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class ShiftAndFlip(Augmentation):
    """Random shifts by whole pixels with reflected edges, and random horizontal flips."""

    shift_px: int
    flip_probability: float = 0.5

    def __call__(self, images: Tensor) -> Tensor:
        """Return an augmented copy: uint8 (B, C, H, W), 0..255, as the input."""
        count, _, height, width = images.shape
        rows = self._positions(count, height, images.device)  # (B, H)
        columns = self._positions(count, width, images.device)  # (B, W)
        flipped = torch.rand(count, 1, device=images.device) < self.flip_probability
        columns = torch.where(flipped, columns.flip(1), columns)
        which = torch.arange(count, device=images.device)[:, None, None]
        picked = images.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)  # (B, C, H, W)

    def _positions(self, count: int, side: int, device: torch.device) -> Tensor:
        """Return source positions along one side, reflected at its ends: int64 (count, side)."""
        shifts = torch.randint(-self.shift_px, self.shift_px + 1, (count, 1), device=device)
        positions = (torch.arange(side, device=device) + shifts).abs()
        return side - 1 - (side - 1 - positions).abs()


@dataclass(frozen=True)
class CropAndFlip(Augmentation):
    """Random resized crops and random horizontal flips.

    A crop has at least `min_area` of the image (if it fits) and is stretched by at most
    `max_stretch` in either direction.
    """

    min_area: float
    max_stretch: float
    flip_probability: float = 0.5

    def __call__(self, images: Tensor) -> Tensor:
        """Return an augmented copy: uint8 (B, C, H, W), 0..255, as the input."""
        grid = functional.affine_grid(
            self._affine(len(images), images.device), list(images.shape), align_corners=False
        )  # (B, H, W, 2)
        cut = functional.grid_sample(
            images.float(), grid, padding_mode="border", align_corners=False
        )
        return cut.round_().to(torch.uint8)

    def _affine(self, count: int, device: torch.device) -> Tensor:
        """Return random maps from output to input positions, both -1..1: float32 (count, 2, 3)."""
        area, stretch, across, down, flip = torch.rand(5, count, device=device)
        area = self.min_area + (1 - self.min_area) * area
        stretch = self.max_stretch ** (2 * stretch - 1)
        width, height = (area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)
        mirror = torch.where(flip < self.flip_probability, -1.0, 1.0)
        zero = torch.zeros_like(width)
        rows = (
            torch.stack((width * mirror, zero, (1 - width) * (2 * across - 1)), dim=1),
            torch.stack((zero, height, (1 - height) * (2 * down - 1)), dim=1),
        )
        return torch.stack(rows, dim=1)


@dataclass(frozen=True)
class Warp(Augmentation):
    """Random affine and elastic distortions of images with a black background.

    Angles are in degrees, lengths in pixels; each value is a maximum in either direction. The
    elastic part follows Simard et al., "Best practices for convolutional neural networks applied to
    visual document analysis", 2003: a field of uniform noise, smoothed by a Gaussian.
    """

    rotation_deg: float
    shear_deg: float
    scale: float
    shift_px: float
    elastic_strength_px: float
    elastic_smoothness_px: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return an augmented copy: uint8 (B, C, H, W), 0..255, as the input."""
        grid = functional.affine_grid(
            self._affine(images), list(images.shape), align_corners=False
        )  # (B, H, W, 2)
        if self.elastic_strength_px:
            grid += self._elastic(images)
        warped = functional.grid_sample(
            images.float(), grid, padding_mode="zeros", align_corners=False
        )
        return warped.round_().to(torch.uint8)

    def _affine(self, images: Tensor) -> Tensor:
        """Return random maps from output to input positions, both -1..1: float32 (B, 2, 3)."""
        count, _, height, width = images.shape
        angle, shear, scale_x, scale_y, shift_x, shift_y = (
            torch.rand(6, count, device=images.device).mul_(2).sub_(1)
        )
        angle = torch.deg2rad(angle * self.rotation_deg)
        shear = torch.deg2rad(shear * self.shear_deg).tan()
        scale_x, scale_y = 1 + scale_x * self.scale, 1 + scale_y * self.scale
        cosine, sine = angle.cos(), angle.sin()
        rows = [
            torch.stack(row, dim=1)
            for row in (
                (
                    cosine * scale_x,
                    (shear * cosine - sine) * scale_x,
                    shift_x * (2 * self.shift_px / width),
                ),
                (
                    sine * scale_y,
                    (shear * sine + cosine) * scale_y,
                    shift_y * (2 * self.shift_px / height),
                ),
            )
        ]
        return torch.stack(rows, dim=1)

    def _elastic(self, images: Tensor) -> Tensor:
        """Return random smooth displacements, in the grid's units: float32 (B, H, W, 2)."""
        count, _, height, width = images.shape
        noise = torch.rand(2 * count, 1, height, width, device=images.device).mul_(2).sub_(1)
        smooth_down = _gaussian(height, self.elastic_smoothness_px, images.device)
        smooth_along = _gaussian(width, self.elastic_smoothness_px, images.device)
        field = (smooth_down @ noise @ smooth_along).view(count, 2, height, width)
        field = field.permute(0, 2, 3, 1) * self.elastic_strength_px  # (B, H, W, 2)
        return field * torch.tensor([2 / width, 2 / height], device=images.device)


def _gaussian(side: int, sigma_px: float, device: torch.device) -> Tensor:
    """Return the matrix that smooths a line of `side` values, zero-padded: float32 (S, S)."""
    positions = torch.arange(side, device=device, dtype=torch.float32)
    weights = torch.exp(-((positions[:, None] - positions) ** 2) / (2 * sigma_px**2))
    return weights / weights.sum(dim=1).max()
