import pytest
import torch

from app.vision.specs import SPECS, ModelSpec


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
def test_a_spec_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
def test_the_network_takes_the_input_and_answers_every_class(spec: ModelSpec) -> None:
    picture = spec.input
    batch = torch.zeros(2, picture.channels, picture.height, picture.width)
    assert spec.build()(batch).shape == (2, len(spec.classes))


def test_labels_are_those_that_clients_rely_on() -> None:
    assert SPECS["mnist"].classes == tuple("0123456789")
    expected = "airplane automobile bird cat deer dog frog horse ship truck"
    assert SPECS["cifar10"].classes == tuple(expected.split())
