import pytest
import torch
from torch import nn
from torchvision.models import densenet121

from app.vision.layers import layer_table
from app.vision.specs import CIFAR10, MNIST, ModelSpec


@pytest.mark.parametrize("spec", [MNIST, CIFAR10], ids=lambda spec: str(spec.name))
def test_computed_shapes_match_a_forward_pass(spec: ModelSpec) -> None:
    network = spec.build().eval()
    assert isinstance(network, nn.Sequential)
    shape = (spec.input.channels, spec.input.height, spec.input.width)
    values = torch.zeros(1, *shape)
    rows = layer_table(network, shape)
    assert len(rows) == len(network)
    for row, (name, layer) in zip(rows, network.named_children(), strict=True):
        values = layer(values)
        assert (row.name, row.type) == (name, type(layer).__name__)
        assert row.output_shape == tuple(values.shape[1:])
        assert row.parameters == sum(parameter.numel() for parameter in layer.parameters())


def test_computed_shapes_match_for_any_stride_padding_and_dilation() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 5, 7, stride=2, padding=3),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(5, 4, 3, dilation=2),
        nn.AvgPool2d(2),
    )
    values = torch.zeros(1, 3, 61, 47)
    for row, layer in zip(layer_table(network, (3, 61, 47)), network, strict=True):
        values = layer(values)
        assert row.output_shape == tuple(values.shape[1:])


def test_receptive_field_matches_the_gradient() -> None:
    network = nn.Sequential(*list(CIFAR10.build().eval().children())[:9])
    *_, last = layer_table(network, (3, 32, 32))
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image)[0, :, 2, 2].sum().backward()
    assert image.grad is not None
    reached = image.grad.abs().sum(dim=(0, 1)).nonzero()  # rows and columns of input pixels
    sides = reached.max(dim=0).values - reached.min(dim=0).values + 1
    # only the maximum of a pooling window gets a gradient, so the measured field may be smaller
    assert last.receptive_field_px == 22
    assert 16 <= int(sides.max()) <= 22


def test_layers_of_other_networks_come_from_a_forward_pass() -> None:
    network = densenet121(num_classes=2).eval()
    rows = {row.name: row for row in layer_table(network, (3, 64, 64))}
    assert rows["features.conv0"].output_shape == (64, 32, 32)
    assert rows["features.conv0"].receptive_field_px == 7
    assert rows["features.pool0"].receptive_field_px == 11
    assert rows["classifier"].output_shape == (2,)
    assert rows["classifier"].receptive_field_px == 64
    total = sum(parameter.numel() for parameter in network.parameters())
    assert sum(row.parameters for row in rows.values()) == total


def test_error_names_the_unknown_layer_of_a_sequential_network() -> None:
    with pytest.raises(TypeError, match="Tanh"):
        layer_table(nn.Sequential(nn.Tanh()), (3, 8, 8))
