"""Makes a photographed or drawn digit look like one of MNIST's.

MNIST's digits were cut out, scaled to fit 20x20 with anti-aliasing, and placed in 28x28 by their
centre of mass, white on black (LeCun et al., "Gradient-based learning applied to document
recognition", 1998, section III.A).
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

_CANVAS_PX = 28
_DIGIT_PX = 20
_SEARCH_PX = 512  # the ink is looked for in a copy of at most this size
_CUTOUT_PX = 160  # and its cut-out is worked on at no more than this size
_LIGHTING_PX = 64
_LIGHTING_WINDOW_PX = 25  # odd; on the 64 px scale, a stroke up to this wide is ink, not lighting
_INK_THRESHOLD = 0.35  # of the strongest ink
_FAINTEST_INK = 24  # grey levels; anything weaker is paper
_DARK_FRAME = 50  # grey levels

Ink = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]


def digit(image: Image.Image) -> Image.Image:
    """Return a 28x28 grey picture ("L"), white ink on black, of the digit in an RGB image.

    An image that already looks like that is returned as it is; one without ink comes back black.
    """
    grey = image.convert("L")
    frame = _frame_level(grey)
    if grey.size == (_CANVAS_PX, _CANVAS_PX) and frame <= _DARK_FRAME:
        return grey
    pixels = np.asarray(grey)
    if 2 * frame > int(pixels.min()) + int(pixels.max()):  # dark ink on light paper
        grey = ImageChops.invert(grey)
    small = _at_most(grey, _SEARCH_PX)
    ink_on_paper = ImageChops.subtract(small, _lighting(small))
    box = _ink_box(ink_on_paper)
    if box is None:
        return Image.new("L", (_CANVAS_PX, _CANVAS_PX))
    return _centre_by_mass(_fit(_cut_out(grey, small, box)))


def _frame_level(grey: Image.Image) -> float:
    pixels = np.asarray(grey)
    return float(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))


def _at_most(image: Image.Image, longest_px: int) -> Image.Image:
    factor = max(image.size) / longest_px
    if factor <= 1:
        return image
    size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    return image.resize(size, Image.Resampling.BOX)


def _lighting(grey: Image.Image) -> Image.Image:
    """Estimate the paper under the ink: a morphological opening that no stroke survives."""
    opened = _at_most(grey, _LIGHTING_PX).filter(ImageFilter.MinFilter(_LIGHTING_WINDOW_PX))
    opened = opened.filter(ImageFilter.MaxFilter(_LIGHTING_WINDOW_PX))
    return opened.filter(ImageFilter.BoxBlur(4)).resize(grey.size, Image.Resampling.BILINEAR)


def _ink_box(ink_on_paper: Image.Image) -> Box | None:
    ink = np.asarray(ink_on_paper)
    strongest = int(ink.max())
    if strongest < _FAINTEST_INK:
        return None
    rows, columns = np.nonzero(ink > _INK_THRESHOLD * strongest)
    return (
        int(columns.min()),
        int(rows.min()),
        int(columns.max()) + 1,
        int(rows.max()) + 1,
    )


def _cut_out(grey: Image.Image, small: Image.Image, box: Box) -> Image.Image:
    """Cut `box` (in pixels of `small`) out of `grey`, as ink from 0 (paper) to 255 (strongest)."""
    lighting = _lighting(small).crop(box)
    scale = grey.width / small.width, grey.height / small.height
    left, top, right, bottom = box
    cutout = _at_most(
        grey.crop(
            (
                int(left * scale[0]),
                int(top * scale[1]),
                max(int(right * scale[0]), int(left * scale[0]) + 1),
                max(int(bottom * scale[1]), int(top * scale[1]) + 1),
            )
        ),
        _CUTOUT_PX,
    )
    ink = ImageChops.subtract(cutout, lighting.resize(cutout.size, Image.Resampling.BILINEAR))
    gain = 255 / max(1.0, float(np.percentile(np.asarray(ink), 99)))
    return ink.point(lambda level: min(255, round(level * gain)))


def _fit(ink: Image.Image) -> Image.Image:
    scale = _DIGIT_PX / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    return ink.resize(size, Image.Resampling.BICUBIC)


def _centre_by_mass(ink: Image.Image) -> Image.Image:
    mass = np.asarray(ink, dtype=np.float64)
    centre_y, centre_x = (
        float((positions * mass).sum() / max(mass.sum(), 1.0))
        for positions in np.indices(mass.shape)
    )
    middle = (_CANVAS_PX - 1) / 2
    left = min(max(round(middle - centre_x), 0), _CANVAS_PX - ink.width)
    top = min(max(round(middle - centre_y), 0), _CANVAS_PX - ink.height)
    canvas = Image.new("L", (_CANVAS_PX, _CANVAS_PX))
    canvas.paste(ink, (left, top))
    return canvas
