"""The sample pictures of the page match what `tools.draw_samples` draws."""

import io
import zipfile

import numpy as np
from PIL import Image

from app import web
from tools.draw_samples import digits, lake

PAGE_FILES = web.files()


def test_shipped_lake_matches_a_new_drawing() -> None:
    drawn = np.asarray(lake(np.random.default_rng(5)), dtype=float)
    with Image.open(PAGE_FILES["samples/lake.jpg"]) as shipped:
        assert np.abs(drawn - np.asarray(shipped, dtype=float)).mean() < 2


def test_shipped_digits_match_a_new_drawing() -> None:
    drawn = zipfile.ZipFile(io.BytesIO(digits(np.random.default_rng(11))))
    with zipfile.ZipFile(PAGE_FILES["samples/digits.zip"]) as shipped:
        assert drawn.namelist() == shipped.namelist()
        for name in shipped.namelist():
            ours, theirs = (np.asarray(Image.open(each.open(name))) for each in (drawn, shipped))
            assert np.array_equal(ours, theirs)
