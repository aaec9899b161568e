import pytest
import torch

from training.augment import Augmentation, CropAndFlip, ShiftAndFlip, Warp

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

_CROP = CropAndFlip(min_area=0.3, max_stretch=1.5)


@pytest.mark.parametrize("augment", [ShiftAndFlip(shift_px=4), _CROP, _LIVELY, _STILL])
@pytest.mark.parametrize("shape", [(8, 3, 32, 32), (5, 1, 28, 20)])
def test_augmentation_keeps_dtype_and_shape(
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


def test_a_crop_is_a_part_of_the_image_and_half_are_flipped() -> None:
    torch.manual_seed(0)
    down, across = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    image = torch.stack((4 * down, 4 * across, 0 * down)).byte()  # levels name the position
    varied = _CROP(image.expand(500, 3, 64, 64)).float() / 4
    heights = varied[:, 0, -1, 0] - varied[:, 0, 0, 0]  # px of the original, a little rounded
    widths = varied[:, 1, 0, -1] - varied[:, 1, 0, 0]
    areas = (heights + 1) * (widths.abs() + 1) / 64**2
    assert 0.25 < areas.min() < 0.4
    assert 0.9 < areas.max() < 1.05
    assert (heights > 0).all()
    assert 0.4 < (widths < 0).float().mean() < 0.6
    assert (widths.abs() / heights).max() < 1.7


def test_a_crop_of_everything_changes_nothing() -> None:
    images = torch.randint(0, 256, (6, 3, 20, 28), dtype=torch.uint8)
    assert torch.equal(CropAndFlip(1.0, 1.0, flip_probability=0.0)(images), images)


def test_all_channels_move_together() -> None:
    image = torch.randint(0, 256, (1, 1, 16, 16), dtype=torch.uint8).expand(20, 3, 16, 16)
    for augment in (ShiftAndFlip(shift_px=3), _CROP, _LIVELY):
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
    for augment in (ShiftAndFlip(shift_px=4), _CROP, _LIVELY):
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
