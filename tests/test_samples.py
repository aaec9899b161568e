"""The sample pictures that are drawn by this project."""

import io
import zipfile

import numpy as np
from PIL import Image

from app import web
from app.web.draw import digits, lake

SAMPLES = web.files()


def test_the_lake_can_be_drawn_again() -> None:
    drawn = np.asarray(lake(np.random.default_rng(5)), dtype=float)
    with Image.open(SAMPLES["samples/lake.jpg"]) as shipped:
        assert np.abs(drawn - np.asarray(shipped, dtype=float)).mean() < 2


def test_the_digits_can_be_drawn_again() -> None:
    drawn = zipfile.ZipFile(io.BytesIO(digits(np.random.default_rng(11))))
    with zipfile.ZipFile(SAMPLES["samples/digits.zip"]) as shipped:
        assert drawn.namelist() == shipped.namelist()
        for name in shipped.namelist():
            ours, theirs = (np.asarray(Image.open(each.open(name))) for each in (drawn, shipped))
            assert np.array_equal(ours, theirs)
