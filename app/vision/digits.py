"""Makes a photographed or drawn digit look like one of MNIST's.

MNIST's digits were cut out, scaled to fit 20x20 with anti-aliasing, and placed in 28x28 by their
centre of mass, white on black (LeCun et al., "Gradient-based learning applied to document
recognition", 1998, section III.A).

The digit is looked for in a small copy of the picture, where specks, noise and ruled lines are
averaged away and only strokes are left, and then cut out of the picture itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

_CANVAS_PX = 28
_DIGIT_PX = 20
_BLACK = 30  # grey levels; at most this is background in a picture that is MNIST's already
_SEARCH_PX = 128  # the ink is looked for in a copy of at most this size
_CUTOUT_PX = 64  # and its cut-out is worked on at no more than this size
_DETAIL_PX = 8  # how far around a pixel its colour is compared with others
_WIDEST_STROKE = 0.29  # of the picture's longer side; anything wider is paper, desk or lighting
_FAINTEST_INK = 12  # grey levels; anything weaker is paper
_FEWEST_INK_PX = 4  # fewer pixels than this do not decide how dark the ink is
_INK_THRESHOLD = 0.35  # of the strongest ink
_SMALLEST_STROKE = 0.04  # of the ink in the largest stroke; anything less is dirt
_PAPER_AROUND_PERCENT = 90  # of a stroke's surroundings, which must be paper

_Plane = npt.NDArray[np.float32]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Ink:
    """The pixels that may be the digit, on a page of H x W pixels."""

    mix: _Plane  # (3,), of red, green and blue: the grey in which ink is lighter than paper
    lighting: _Plane  # (H, W), how light the paper is in that grey
    strokes: _Mask  # (H, W)
    prominence: float  # how strong, clear of its surroundings and large the ink is


def digit(image: Image.Image) -> Image.Image:
    """Return a 28x28 grey picture ("L"), white ink on black, of the digit in an RGB image.

    An image that already looks like that is returned as it is; one without ink comes back black.
    """
    if image.size == (_CANVAS_PX, _CANVAS_PX):
        grey = image.convert("L")
        if _is_as_in_mnist(np.asarray(grey)):
            return grey
    page = _at_most(image, (0, 0, *image.size), _SEARCH_PX)
    mix = _most_telling_mix(page)
    found = [ink for ink in (_find_ink(page, -mix), _find_ink(page, mix)) if ink]  # dark or light
    if not found:
        return Image.new("L", (_CANVAS_PX, _CANVAS_PX))
    return _centre_by_mass(_fit(_cut_out(image, max(found, key=lambda ink: ink.prominence))))


def _is_as_in_mnist(grey: npt.NDArray[np.uint8]) -> bool:
    ink = grey > _BLACK
    frame = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    if 2 * np.count_nonzero(frame) > frame.size or not ink.any():
        return False
    off_centre_px = max(abs(centre - _CANVAS_PX / 2) for centre in _centre_of_mass(grey))
    return abs(_extent(ink) - _DIGIT_PX) <= 1 and off_centre_px <= 1


def _at_most(
    image: Image.Image, box: tuple[float, float, float, float], longest_px: int
) -> Image.Image:
    sides = box[2] - box[0], box[3] - box[1]
    factor = max(1.0, max(sides) / longest_px)
    size = max(1, round(sides[0] / factor)), max(1, round(sides[1] / factor))
    return image.resize(size, Image.Resampling.BOX, box=box)


def _most_telling_mix(page: Image.Image) -> _Plane:
    """Return the mix (3,) of red, green and blue in which neighbouring colours differ the most."""
    around = page.filter(ImageFilter.BoxBlur(_DETAIL_PX))
    detail = np.asarray(page, np.float32) - np.asarray(around, np.float32)
    detail = detail.reshape(-1, 3)  # (H * W, 3)
    main_axis = np.linalg.eigh(detail.T @ detail).eigenvectors[:, -1]
    mix: _Plane = main_axis / np.abs(main_axis).sum()
    return mix


def _find_ink(page: Image.Image, mix: _Plane) -> _Ink | None:
    grey: _Plane = np.asarray(page, np.float32) @ mix  # (H, W)
    lighting = _opening(grey, round(_WIDEST_STROKE * max(page.size)) | 1)
    ink = grey - lighting
    fewest = min(_FEWEST_INK_PX, ink.size)
    strongest = float(np.partition(ink, -fewest, axis=None)[-fewest])
    if strongest < _FAINTEST_INK:
        return None
    labels = _connected(ink > _INK_THRESHOLD * strongest)
    mass = np.bincount(labels.ravel(), ink.ravel())
    mass[0] = 0  # the paper's
    largest = labels == mass.argmax()
    strokes = (mass > _SMALLEST_STROKE * mass.max())[labels]
    prominence = strongest**2 * _contrast(grey, largest) * _extent(largest)
    return _Ink(mix, lighting, strokes, prominence)


def _opening(grey: _Plane, window_px: int) -> _Plane:
    """Remove all that is lighter than its surroundings and narrower than the (odd) window.

    The picture's edge goes on outside, so that a scanner's border or a desk beside the paper
    counts as wide.
    """
    grey = np.pad(grey, window_px - 1, "edge")
    for extreme in (np.minimum, np.maximum):
        for _ in range(2):  # down the columns, and on the transposed picture along the rows
            span = 1
            while span < window_px:
                step = min(span, window_px - span)
                grey = extreme(grey[:-step], grey[step:])
                span += step
            grey = grey.T
    return grey


def _connected(mask: _Mask) -> npt.NDArray[np.intp]:
    """Label the connected parts (8 neighbors) of a mask from 1; the rest is 0."""
    padded = np.pad(mask, 1)
    cells = np.flatnonzero(padded)
    labels = np.where(padded, np.arange(padded.size).reshape(padded.shape), 0).ravel()
    row = padded.shape[1]
    pairs = np.concatenate(
        [np.stack([cells, cells + step]) for step in (1, row - 1, row, row + 1)], axis=1
    )  # (2, N), of a cell and the one to its right, or below it
    first, second = pairs[:, labels[pairs[1]] > 0]
    while (labels[first] != labels[second]).any():
        lower = np.minimum(labels[first], labels[second])
        np.minimum.at(labels, labels[first], lower)
        np.minimum.at(labels, labels[second], lower)
        labels = labels[labels]
    numbers = np.unique(labels, return_inverse=True)[1]
    return numbers.reshape(padded.shape)[1:-1, 1:-1]


def _contrast(grey: _Plane, stroke: _Mask) -> float:
    """Compare a stroke with the paper around it, in grey levels.

    A gap between the digit and a dark frame may look like a stroke; unlike one, it is open
    somewhere, to paper as light as itself.
    """
    picture = Image.fromarray(stroke.astype(np.uint8))
    near, far = (np.asarray(picture.filter(ImageFilter.MaxFilter(size))) for size in (3, 5))
    around = grey[far > near]
    if around.size == 0:
        return 0.0
    return float(np.median(grey[stroke]) - np.percentile(around, _PAPER_AROUND_PERCENT))


def _extent(mask: _Mask) -> int:
    """Return the longer side of the box around a mask that is not empty, in pixels."""
    rows, columns = np.nonzero(mask)
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


def _cut_out(image: Image.Image, found: _Ink) -> Image.Image:
    """Cut the strokes out of the picture itself, from 0 (paper) to 255 (the strongest ink)."""
    height, width = found.strokes.shape
    rows, columns = np.nonzero(found.strokes)
    box = (
        max(int(columns.min()) - 1, 0),
        max(int(rows.min()) - 1, 0),
        min(int(columns.max()) + 2, width),
        min(int(rows.max()) + 2, height),
    )
    left, right = (min(at * image.width / width, image.width) for at in box[::2])
    top, bottom = (min(at * image.height / height, image.height) for at in box[1::2])
    cutout = _at_most(image, (left, top, right, bottom), _CUTOUT_PX)
    strokes = Image.fromarray(found.strokes.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    near = np.asarray(strokes.resize(cutout.size, Image.Resampling.NEAREST, box=box)) > 0
    lighting = Image.fromarray(found.lighting)
    paper = np.asarray(lighting.resize(cutout.size, Image.Resampling.BILINEAR, box=box))
    ink = np.where(near, np.asarray(cutout, np.float32) @ found.mix - paper, 0).clip(min=0)
    strongest = np.percentile(ink[near], 95)
    rows, columns = np.nonzero(ink >= _INK_THRESHOLD * strongest)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return Image.fromarray((ink * 255 / max(strongest, 1)).clip(max=255).astype(np.uint8))


def _fit(ink: Image.Image) -> Image.Image:
    scale = _DIGIT_PX / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    return ink.resize(size, Image.Resampling.BICUBIC)


def _centre_of_mass(grey: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return the row and the column of the centre."""
    down, across = grey.sum(axis=1), grey.sum(axis=0)
    mass = max(int(down.sum()), 1)
    return float(down @ np.arange(len(down)) / mass), float(across @ np.arange(len(across)) / mass)


def _centre_by_mass(ink: Image.Image) -> Image.Image:
    row, column = _centre_of_mass(np.asarray(ink))
    left = min(max(round(_CANVAS_PX / 2 - column), 0), _CANVAS_PX - ink.width)
    top = min(max(round(_CANVAS_PX / 2 - row), 0), _CANVAS_PX - ink.height)
    canvas = Image.new("L", (_CANVAS_PX, _CANVAS_PX))
    canvas.paste(ink, (left, top))
    return canvas
