"""Normalization of photographed or drawn digits to the format of MNIST.

The digits of MNIST were cropped, scaled to fit 20x20 with anti-aliasing, and placed in 28x28 by
their center of mass, white on black (LeCun et al., "Gradient-based learning applied to document
recognition", 1998, section III.A).

The digit is located in a small copy of the image, in which specks, noise and ruled lines are
averaged away and only strokes are left. It is then cropped from the original image.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

_CANVAS_PX = 28
_DIGIT_PX = 20
_MAX_BACKGROUND = 30  # gray levels; the darkest ink of an image that is in MNIST's format already
_SEARCH_PX = 128  # longest side of the copy in which the ink is located
_CROP_PX = 64  # longest side of the crop that is processed
_BLUR_PX = 8  # radius within which a pixel's color is compared with others
_MAX_STROKE_WIDTH = 0.29  # of the image's longer side; anything wider is paper, desk or lighting
_MIN_INK = 12  # gray levels; anything weaker is paper
_MIN_INK_PX = 4  # fewer pixels than this do not decide how dark the ink is
_INK_THRESHOLD = 0.35  # of the strongest ink
_MIN_STROKE_MASS = 0.04  # of the ink in the largest stroke; anything less is dirt
_PAPER_PERCENTILE = 90  # of a stroke's surroundings, which must be paper

_Plane = npt.NDArray[np.float32]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Ink:
    """A candidate for the digit, on a page of H x W pixels."""

    channel_weights: _Plane  # (3,), of R, G and B: the gray in which ink is lighter than paper
    lighting: _Plane  # (H, W), the lightness of the paper in that gray
    strokes: _Mask  # (H, W)
    prominence: float  # combines the strength, contrast and size of the ink


def normalize_digit(image: Image.Image) -> Image.Image:
    """Return a 28x28 gray image ("L") of the digit in an RGB image, white ink on black.

    An image that is in this format already is returned unchanged; one without ink returns black.
    """
    if image.size == (_CANVAS_PX, _CANVAS_PX):
        gray = image.convert("L")
        if _is_mnist_format(np.asarray(gray)):
            return gray
    page = _crop(image, (0, 0, *image.size), _SEARCH_PX)
    weights = _max_contrast_weights(page)
    found = [ink for ink in (_find_ink(page, -weights), _find_ink(page, weights)) if ink]
    if not found:
        return Image.new("L", (_CANVAS_PX, _CANVAS_PX))
    ink = max(found, key=lambda each: each.prominence)  # dark on light, or light on dark
    return _center_by_mass(_fit(_crop_strokes(image, ink)))


def _is_mnist_format(gray: npt.NDArray[np.uint8]) -> bool:
    ink = gray > _MAX_BACKGROUND
    frame = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    if 2 * np.count_nonzero(frame) > frame.size or not ink.any():
        return False
    off_center_px = max(abs(center - _CANVAS_PX / 2) for center in ndimage.center_of_mass(gray))
    return bool(abs(_extent(ink) - _DIGIT_PX) <= 1 and off_center_px <= 1)


def _crop(
    image: Image.Image, box: tuple[float, float, float, float], longest_px: int
) -> Image.Image:
    """Crop a box and shrink it so that its longer side is at most `longest_px`."""
    sides = box[2] - box[0], box[3] - box[1]
    factor = max(1.0, max(sides) / longest_px)
    size = max(1, round(sides[0] / factor)), max(1, round(sides[1] / factor))
    return image.resize(size, Image.Resampling.BOX, box=box)


def _max_contrast_weights(page: Image.Image) -> _Plane:
    """Return the weights (3,) of R, G and B that maximize the local contrast."""
    blurred = page.filter(ImageFilter.BoxBlur(_BLUR_PX))
    detail = np.asarray(page, np.float32) - np.asarray(blurred, np.float32)
    detail = detail.reshape(-1, 3)  # (H * W, 3)
    main_axis = np.linalg.eigh(detail.T @ detail).eigenvectors[:, -1]
    weights: _Plane = main_axis / np.abs(main_axis).sum()
    return weights


def _find_ink(page: Image.Image, weights: _Plane) -> _Ink | None:
    gray: _Plane = np.asarray(page, np.float32) @ weights  # (H, W)
    lighting = _opening(gray, round(_MAX_STROKE_WIDTH * max(page.size)) | 1)
    ink = gray - lighting
    count = min(_MIN_INK_PX, ink.size)
    strongest = float(np.partition(ink, -count, axis=None)[-count])
    if strongest < _MIN_INK:
        return None
    labels, _ = ndimage.label(ink > _INK_THRESHOLD * strongest, np.ones((3, 3)))  # 8 neighbors
    mass = np.bincount(labels.ravel(), ink.ravel())
    mass[0] = 0  # paper
    largest = labels == mass.argmax()
    strokes = (mass > _MIN_STROKE_MASS * mass.max())[labels]
    prominence = strongest**2 * _contrast(gray, largest) * _extent(largest)
    return _Ink(weights, lighting, strokes, prominence)


def _opening(gray: _Plane, window_px: int) -> _Plane:
    """Remove everything that is lighter than its surroundings and narrower than the odd window.

    The edge pixels continue outside the image, so that a scanner's border or a desk beside the
    paper counts as wide. `ndimage.grey_opening` alone would continue them after the erosion again.
    """
    height, width = gray.shape
    margin_px = window_px - 1
    padded = np.pad(gray, margin_px, "edge")
    opened: _Plane = ndimage.maximum_filter(ndimage.minimum_filter(padded, window_px), window_px)
    return opened[margin_px : margin_px + height, margin_px : margin_px + width]


def _contrast(gray: _Plane, stroke: _Mask) -> float:
    """Return the contrast of a stroke to the paper around it, in gray levels.

    A gap between the digit and a dark frame may look like a stroke; unlike a stroke, it is open
    somewhere to paper of the same lightness.
    """
    picture = Image.fromarray(stroke.astype(np.uint8))
    near, far = (np.asarray(picture.filter(ImageFilter.MaxFilter(size))) for size in (3, 5))
    around = gray[far > near]
    if around.size == 0:
        return 0.0
    return float(np.median(gray[stroke]) - np.percentile(around, _PAPER_PERCENTILE))


def _extent(mask: _Mask) -> int:
    """Return the longer side of the bounding box of a mask that is not empty, in pixels."""
    rows, columns = np.nonzero(mask)
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


def _crop_strokes(image: Image.Image, found: _Ink) -> Image.Image:
    """Crop the strokes from the original image: 0 is paper, 255 the strongest ink."""
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
    crop = _crop(image, (left, top, right, bottom), _CROP_PX)
    strokes = Image.fromarray(found.strokes.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    near = np.asarray(strokes.resize(crop.size, Image.Resampling.NEAREST, box=box)) > 0
    lighting = Image.fromarray(found.lighting)
    paper = np.asarray(lighting.resize(crop.size, Image.Resampling.BILINEAR, box=box))
    gray = np.asarray(crop, np.float32) @ found.channel_weights
    ink = np.where(near, gray - paper, 0).clip(min=0)
    strongest = np.percentile(ink[near], 95)
    rows, columns = np.nonzero(ink >= _INK_THRESHOLD * strongest)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return Image.fromarray((ink * 255 / max(strongest, 1)).clip(max=255).astype(np.uint8))


def _fit(ink: Image.Image) -> Image.Image:
    scale = _DIGIT_PX / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    return ink.resize(size, Image.Resampling.BICUBIC)


def _center_by_mass(ink: Image.Image) -> Image.Image:
    levels = np.asarray(ink)
    row, column = ndimage.center_of_mass(levels) if levels.any() else (0.0, 0.0)
    left = min(max(round(_CANVAS_PX / 2 - column), 0), _CANVAS_PX - ink.width)
    top = min(max(round(_CANVAS_PX / 2 - row), 0), _CANVAS_PX - ink.height)
    canvas = Image.new("L", (_CANVAS_PX, _CANVAS_PX))
    canvas.paste(ink, (left, top))
    return canvas
