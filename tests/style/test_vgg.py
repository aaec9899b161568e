from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from app.style.convolution import ConvReLU
from app.style.losses import gram
from app.style.options import STYLE_LAYERS
from app.style.vgg import _NAMES, _TORCHVISION_INDICES, VGG19, Convention
from app.vision.errors import CheckpointError

CPU = torch.device("cpu")


def state_dict_of(network: VGG19) -> dict[str, Tensor]:
    """Return the same filters as a state_dict in torchvision's layout and convention."""
    state = {}
    for name, index in zip(_NAMES, _TORCHVISION_INDICES, strict=True):
        state[f"features.{index}.weight"] = network.get_buffer(f"{name}.kernel")
        state[f"features.{index}.bias"] = network.get_buffer(f"{name}.bias")
    return state


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_convolution_matches_the_plain_convolution(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    unit = ConvReLU(torch.randn(32, 16, 3, 3, generator=generator) / 12, torch.zeros(32))
    x = torch.randn(1, 16, 9, 14, generator=generator).to(dtype)
    results: list[tuple[Tensor, Tensor]] = []
    for variable in (x.clone().requires_grad_(), x.float().requires_grad_()):
        if variable.dtype is dtype and not results:
            y = unit(variable, dtype)
        else:
            y = functional.relu(functional.conv2d(variable, unit.kernel, unit.bias, padding=1))
        (gradient,) = torch.autograd.grad(y.square().sum(), variable)
        results.append((y.detach().float(), gradient.float()))
    tolerance = 1e-5 if dtype is torch.float32 else 0.05
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() <= tolerance * other.norm()


def test_bfloat16_does_not_round_the_image() -> None:
    unit = ConvReLU(torch.ones(1, 3, 3, 3), torch.zeros(1))
    x = torch.full((1, 3, 3, 3), 1 + 2**-10)
    assert unit(x, torch.bfloat16).float().sum() == unit(x, torch.float32).bfloat16().float().sum()
    assert x.bfloat16().eq(1).all()


def test_recomputing_the_first_block_gives_the_same_gradient(network: VGG19) -> None:
    picture = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    gradients: list[Tensor] = []
    for recompute in (False, True):
        variable = picture.clone().requires_grad_()
        found = network(variable, dict.fromkeys(STYLE_LAYERS, gram), recompute=recompute)
        total = torch.stack([matrix.sum() for matrix in found.values()]).sum()
        gradients += torch.autograd.grad(total, variable)
    assert torch.equal(*gradients)


def test_conventions_agree_on_the_same_filters(network: VGG19, tmp_path: Path) -> None:
    state = state_dict_of(network)
    std = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    state["features.0.weight"] = network.get_buffer("conv1_1.kernel") * std
    torch.save(state, tmp_path / "vgg19.pth")
    other = VGG19.load(CPU, tmp_path / "vgg19.pth", Convention.TORCHVISION)
    picture = torch.rand(1, 3, 32, 32) * 0.2 + 0.4
    ours, theirs = (n(picture, {"conv5_1": Tensor.float})["conv5_1"] for n in (network, other))
    assert (ours - theirs).norm() < 0.1 * ours.norm()  # the two means differ a little


def test_invalid_weights_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg19.pth"
    with pytest.raises(CheckpointError, match=r"vgg19.pth"):
        VGG19.load(CPU, path)
    path.write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="not a file of plain tensors"):
        VGG19.load(CPU, path)
    for state in ({"features.0.weight": torch.zeros(1)}, {"features.0.weight": "x"}, {}):
        torch.save(state, path)
        with pytest.raises(CheckpointError, match="not a state_dict of VGG19"):
            VGG19.load(CPU, path)
    for other in ([1], torch.zeros(3), None):
        torch.save(other, path)
        with pytest.raises(CheckpointError, match="not a state_dict"):
            VGG19.load(CPU, path)
