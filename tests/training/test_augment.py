import pytest
import torch

from training.augment import Augmentation, ShiftAndFlip, Warp

_STILL = Warp(
    rotation_deg=0,
    shear_deg=0,
    scale=0,
    shift_px=0,
    elastic_strength_px=0,
    elastic_smoothness_px=4,
)
_LIVELY = Warp(
    rotation_deg=30,
    shear_deg=20,
    scale=0.3,
    shift_px=4,
    elastic_strength_px=34,
    elastic_smoothness_px=4,
)


@pytest.mark.parametrize("augment", [ShiftAndFlip(shift_px=4), _LIVELY, _STILL])
@pytest.mark.parametrize("shape", [(8, 3, 32, 32), (5, 1, 28, 20)])
def test_a_picture_stays_a_picture(
    augment: Augmentation, shape: tuple[int, int, int, int], device: torch.device
) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    before = images.clone()
    varied = augment(images)
    assert (varied.shape, varied.dtype, varied.device) == (images.shape, torch.uint8, images.device)
    assert torch.equal(images, before)


def test_shift_and_flip_moves_whole_images_by_whole_pixels() -> None:
    torch.manual_seed(0)
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    mirrored = torch.nn.functional.pad(image.float(), (2, 2, 2, 2), mode="reflect").byte()
    views = {
        tuple(view.flatten().tolist())
        for top in range(5)
        for left in range(5)
        for view in (
            mirrored[..., top : top + 8, left : left + 8],
            mirrored[..., top : top + 8, left : left + 8].flip(3),
        )
    }
    varied = ShiftAndFlip(shift_px=2)(image.expand(2000, 1, 8, 8))
    assert {tuple(one.flatten().tolist()) for one in varied} == views


def test_all_channels_move_together() -> None:
    image = torch.randint(0, 256, (1, 1, 16, 16), dtype=torch.uint8).expand(20, 3, 16, 16)
    for augment in (ShiftAndFlip(shift_px=3), _LIVELY):
        varied = augment(image)
        assert torch.equal(varied[:, 0], varied[:, 2])


def test_a_warp_of_nothing_changes_nothing() -> None:
    images = torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(_STILL(images), images)


def test_each_image_is_warped_on_its_own() -> None:
    image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    image[..., 8:20, 12:16] = 255
    varied = _LIVELY(image.expand(30, 1, 28, 28))
    assert len({tuple(one.flatten().tolist()) for one in varied}) == 30
    assert varied[..., 0, 0].max() == 0


def test_the_seed_decides() -> None:
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    for augment in (ShiftAndFlip(shift_px=4), _LIVELY):
        results = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            results.append(augment(images))
        assert torch.equal(results[0], results[1])
        assert not torch.equal(results[0], results[2])


def test_options_are_told() -> None:
    assert ShiftAndFlip(shift_px=4).to_json() == {
        "name": "ShiftAndFlip",
        "shift_px": 4,
        "flip_probability": 0.5,
    }
