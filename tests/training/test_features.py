from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from app.vision.specs import CIFAR10
from training import features
from training.augment import ShiftAndFlip
from training.loop import predict

_SHIFT = ShiftAndFlip(shift_px=8)


def _pixels(count: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=random)


def test_each_view_of_each_image_has_its_features() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()
    images = _pixels(70)
    torch.manual_seed(0)
    found = features.of_views(network, images, CIFAR10.input, (None, _SHIFT, None), Console())
    assert found.shape == (70, 3, 12)
    plain = predict(network, images, CIFAR10.input)
    assert torch.equal(found[:, 0], plain)
    assert torch.equal(found[:, 2], plain)
    assert not torch.isclose(found[:, 1], plain).all(dim=1).any()


def test_they_are_computed_once(tmp_path: Path) -> None:
    path = tmp_path / "features.pt"
    calls: list[int] = []

    def compute() -> dict[str, Tensor]:
        calls.append(len(calls))
        return {"train": torch.full((2,), float(len(calls)))}

    for identity, expected in (({"a": 1}, 1), ({"a": 1}, 1), ({"a": 2}, 2)):
        assert features.kept(path, identity, compute)["train"].tolist() == [expected] * 2
    path.write_bytes(b"damaged")
    assert features.kept(path, {"a": 2}, compute)["train"].tolist() == [3, 3]
    assert features.kept(path, {"a": 2}, compute)["train"].tolist() == [3, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["features.pt"]
