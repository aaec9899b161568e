import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.style.builtin import NAMES, path_of
from app.style.images import PARAMETERS_KEY, encode, to_image, to_tensor
from tools.draw_styles import SIZE_PX, draw, save

CPU = torch.device("cpu")


def test_image_round_trips_through_a_tensor(photo: Image.Image) -> None:
    tensor = to_tensor(photo, photo.size, CPU)
    assert tensor.shape == (1, 3, 72, 96)
    assert tensor.dtype is torch.float32
    assert to_image(tensor).tobytes() == photo.tobytes()


def test_values_out_of_range_are_clipped() -> None:
    image = to_image(torch.tensor([-0.3, 0.5, 1.7]).view(1, 3, 1, 1))
    assert image.getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize(
    ("file_format", "expected"),
    [("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")],
)
def test_results_are_encoded_in_the_requested_format(
    photo: Image.Image, file_format: str, expected: str
) -> None:
    image = Image.open(io.BytesIO(encode(photo, file_format, {"seed": 5})))
    assert image.format == expected
    assert image.size == photo.size
    assert not image.getexif()


def test_png_contains_its_parameters(photo: Image.Image) -> None:
    image = Image.open(io.BytesIO(encode(photo, "png", {"seed": 5, "color": "match"})))
    assert json.loads(image.info[PARAMETERS_KEY]) == {"seed": 5, "color": "match"}


def test_private_metadata_is_not_written(photo: Image.Image) -> None:
    tagged = photo.copy()
    tagged.info |= {"exif": b"secret", "comment": b"secret", "xmp": b"secret"}
    for file_format in ("png", "jpeg", "webp"):
        assert b"secret" not in encode(tagged, file_format, {})


def test_unknown_formats_are_refused(photo: Image.Image) -> None:
    with pytest.raises(ValueError, match="gif"):
        encode(photo, "gif", {})


@pytest.mark.parametrize("name", NAMES)
def test_built_in_styles_exist(name: str) -> None:
    path = path_of(name)
    assert path is not None
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.format == "JPEG"
        assert image.size == (SIZE_PX, SIZE_PX)


def test_unknown_style_names_have_no_file() -> None:
    assert path_of("../builtin/mosaic") is None


@pytest.mark.parametrize("name", ["mosaic"])  # the fastest to draw
def test_built_in_styles_match_the_drawing_script(name: str, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.jpg"
    save(draw(name), drawn)
    committed = path_of(name)
    assert committed is not None
    with Image.open(drawn) as new, Image.open(committed) as old:
        difference = np.abs(np.asarray(new, float) - np.asarray(old, float))
    assert difference.mean() < 0.5  # of 255: other versions of Pillow may round differently
