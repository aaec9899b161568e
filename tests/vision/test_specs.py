import pytest
import torch

from app.vision.specs import SPECS, ModelSpec


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
def test_spec_round_trips_through_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
def test_network_accepts_the_input_and_returns_every_class(spec: ModelSpec) -> None:
    picture = spec.input
    batch = torch.zeros(2, picture.channels, picture.height, picture.width)
    assert spec.build()(batch).shape == (2, len(spec.classes))


def test_class_names_are_stable() -> None:
    assert SPECS["mnist"].classes == tuple("0123456789")
    expected = "airplane automobile bird cat deer dog frog horse ship truck"
    assert SPECS["cifar10"].classes == tuple(expected.split())
    assert SPECS["catdog"].classes == ("cat", "dog")


def test_resized_spec_keeps_the_crop_ratio() -> None:
    picture = SPECS["catdog"].input
    assert picture.sized(picture.height) == picture
    large = picture.sized(224)
    assert (large.height, large.width) == (224, 224)
    assert large.resize_px / 224 == pytest.approx(picture.resize_px / picture.height, abs=0.005)
    assert (large.mean, large.std) == (picture.mean, picture.std)
