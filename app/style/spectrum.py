"""Orthonormal Fourier coefficients of images, sorted into bands of spatial frequency."""

import math

import torch
from torch import Tensor

_LOWEST = 1 / 512  # cycles per pixel; lower frequencies belong to the first band
_HIGHEST = 1 / 2


class Spectrum:
    """Fourier transform of images (1, C, H, W) of one size.

    Both directions are linear and preserve inner products. `counts` is the number of coefficients
    in each band, from low to high frequencies; the bands are equally wide on a logarithmic scale.
    """

    def __init__(self, like: Tensor, bands: int) -> None:
        _, channels, self._height, self._width = like.shape
        rows = torch.fft.fftfreq(self._height)[:, None]
        columns = torch.fft.rfftfreq(self._width)[None]
        frequency = (rows.square() + columns.square()).sqrt().clamp(_LOWEST, _HIGHEST)
        position = (frequency / _LOWEST).log() / math.log(_HIGHEST / _LOWEST)
        band = (position * bands).long().clamp(max=bands - 1).flatten()
        per_band = torch.bincount(band, minlength=bands) * channels * 2  # real and imaginary
        self.counts: list[int] = per_band.tolist()
        order = band.argsort(stable=True)
        # The spectrum of a real image is symmetric: most columns represent two.
        twice = (columns > 0) & (columns < _HIGHEST)
        weight = torch.where(twice, math.sqrt(2), 1.0).expand(self._height, -1).flatten()
        self._order = order.to(like.device)
        self._inverse_order = order.argsort().to(like.device)
        self._weight = weight[order][:, None].to(like.device)

    def to_coefficients(self, image: Tensor) -> Tensor:
        """Return the coefficients, float32 (sum(counts),)."""
        spectrum = torch.fft.rfft2(image[0], norm="ortho").flatten(1).T  # (frequencies, C)
        return torch.view_as_real(spectrum[self._order] * self._weight).flatten()

    def to_image(self, coefficients: Tensor) -> Tensor:
        """Return the image (1, C, H, W) of the coefficients."""
        pairs = coefficients.view(len(self._order), -1, 2)
        spectrum = (torch.view_as_complex(pairs) / self._weight)[self._inverse_order].T
        spectrum = spectrum.reshape(len(spectrum), self._height, -1)
        size = (self._height, self._width)
        image: Tensor = torch.fft.irfft2(spectrum, s=size, norm="ortho")
        return image[None]

    def spread(self, values: Tensor) -> Tensor:
        """Repeat the value of each band for all of its coefficients."""
        return values.repeat_interleave(torch.tensor(self.counts, device=values.device))
