import pytest
import torch

from app.style.spectrum import Spectrum


@pytest.mark.parametrize("size", [(16, 24), (15, 9), (1, 8)])
def test_transform_is_invertible_and_keeps_inner_products(size: tuple[int, int]) -> None:
    first, second = torch.randn(2, 1, 3, *size, generator=torch.Generator().manual_seed(0))
    spectrum = Spectrum(first, bands=5)
    coefficients = spectrum.to_coefficients(first)
    assert len(coefficients) == sum(spectrum.counts)
    assert (spectrum.to_image(coefficients) - first).abs().max() < 1e-5
    product = coefficients.dot(spectrum.to_coefficients(second))
    assert product.item() == pytest.approx(first.flatten().dot(second.flatten()).item(), abs=1e-4)


def test_wave_is_in_the_band_of_its_frequency() -> None:
    columns = torch.arange(64) / 64
    for waves in (1, 4, 30):
        wave = torch.cos(2 * torch.pi * waves * columns).expand(1, 3, 32, 64)
        spectrum = Spectrum(wave, bands=8)  # an octave each
        pieces = torch.split(spectrum.to_coefficients(wave), spectrum.counts)
        energies = torch.stack([piece.square().sum() for piece in pieces])
        band = int(torch.tensor(waves / 64 * 512).log2())
        assert energies.argmax() == band
        assert energies[band] > 0.999 * energies.sum()


def test_every_coefficient_gets_the_value_of_its_band() -> None:
    spectrum = Spectrum(torch.zeros(1, 3, 8, 8), bands=4)
    values = spectrum.spread(torch.arange(4.0))
    pieces = torch.split(values, spectrum.counts)
    for value, piece in zip(range(4), pieces, strict=True):
        assert (piece == value).all()
