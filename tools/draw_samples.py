"""Command that draws the page's own sample pictures: `python -m tools.draw_samples`.

The output depends on fixed seeds only, so that the pictures can be reproduced.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from app import web
from tools.raster import Array, Rng, blend, grid, noise, palette, to_image

SAMPLES = Path(web.__file__).with_name("samples")

_SIDE_PX = 1536
_LAKE_PX = (768, 512)
_SHORE = 0.56  # fraction of the height, from the top
_DUSK = palette("1d2b53", "3f4a80", "8a6a96", "d98a7e", "f6bd7c", "ffe2a8")
_RIDGES = (  # (height above the shore, roughness, color), far to near
    (0.20, 0.075, "a67f98"),
    (0.13, 0.060, "6f5f86"),
    (0.07, 0.045, "423f66"),
    (0.02, 0.030, "211f3d"),
)

_DIGIT_PX = 64
_PER_DIGIT = 12
_JITTER = 0.07  # fraction of the digit's height: some become hard to read
_STROKES: dict[int, list[list[tuple[float, float]]]] = {  # strokes, x and y in 0..1
    0: [
        [(0.5, 0), (0.1, 0.1), (0.05, 0.6), (0.4, 1), (0.8, 0.95), (0.95, 0.4), (0.8, 0), (0.45, 0)]
    ],
    1: [[(0.25, 0.25), (0.55, 0), (0.52, 0.5), (0.5, 1)]],
    2: [
        [
            (0.1, 0.25),
            (0.3, 0),
            (0.85, 0),
            (0.9, 0.4),
            (0.4, 0.75),
            (0.05, 1),
            (0.5, 0.97),
            (1, 0.98),
        ]
    ],
    3: [
        [
            (0.1, 0.05),
            (0.9, 0),
            (0.85, 0.4),
            (0.4, 0.45),
            (0.95, 0.5),
            (0.9, 1),
            (0.4, 1),
            (0.05, 0.9),
        ]
    ],
    4: [[(0.5, 0), (0.05, 0.65), (0.5, 0.66), (1, 0.62)], [(0.75, 0.3), (0.72, 0.6), (0.7, 1)]],
    5: [
        [(0.9, 0), (0.2, 0.02), (0.15, 0.4), (0.6, 0.35), (1, 0.6), (0.8, 1), (0.4, 1), (0.05, 0.9)]
    ],
    6: [
        [(0.8, 0), (0.3, 0.2), (0.05, 0.7), (0.3, 1), (0.8, 1), (0.9, 0.6), (0.5, 0.5), (0.1, 0.75)]
    ],
    7: [[(0.05, 0.02), (0.5, 0), (0.95, 0), (0.6, 0.5), (0.4, 1)]],
    8: [
        [(0.85, 0.1), (0.4, 0), (0.1, 0.2), (0.4, 0.45), (0.9, 0.7), (0.7, 1)],
        [(0.7, 1), (0.2, 1), (0.1, 0.7), (0.55, 0.48), (0.9, 0.25), (0.8, 0.05)],
    ],
    9: [
        [
            (0.85, 0.15),
            (0.4, 0),
            (0.1, 0.3),
            (0.4, 0.5),
            (0.85, 0.35),
            (0.88, 0.1),
            (0.85, 0.5),
            (0.7, 1),
        ]
    ],
}


def main() -> None:
    """Draw the lake and the archive of digits."""
    lake(np.random.default_rng(5)).save(SAMPLES / "lake.jpg", quality=88, optimize=True)
    (SAMPLES / "digits.zip").write_bytes(digits(np.random.default_rng(11)))


def lake(rng: Rng) -> Image.Image:
    """Draw a lake at dusk that mirrors mountains."""
    x, y = grid(_SIDE_PX)
    above = _sky(rng, x, y)
    for height, roughness, color in _RIDGES:
        ridge = _SHORE - height - roughness * _ridge(rng)
        mist = ((y - ridge) / (_SHORE - ridge)).clip(0, 1)[..., None] * 0.35
        rock = palette(color)[0] * (1 - mist) + palette("e8a98c")[0] * mist
        above = np.where((y > ridge)[..., None], rock, above)
    picture = np.where((y > _SHORE)[..., None], _mirrored(rng, above, y), above)
    top = round(0.06 * _SIDE_PX)
    cut = to_image(picture).crop((0, top, _SIDE_PX, top + _SIDE_PX * 2 // 3))
    return cut.resize(_LAKE_PX, Image.Resampling.LANCZOS)


def digits(rng: Rng) -> bytes:
    """Return a zip archive of shaky handwritten digits, with a folder for each digit."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for digit in _STROKES:
            for number in range(_PER_DIGIT):
                png = io.BytesIO()
                _digit(rng, digit).save(png, "PNG", optimize=True)
                entry = zipfile.ZipInfo(f"digits/{digit}/{number:02}.png")
                archive.writestr(entry, png.getvalue())
    return buffer.getvalue()


def _sky(rng: Rng, x: Array, y: Array) -> Array:
    sky = blend(_DUSK, y / _SHORE + 0.035 * noise(rng, _SIDE_PX, 3, octaves=5))
    glow = np.exp(-(((x - 0.62) / 0.30) ** 2 + ((y - 0.43) / 0.16) ** 2))[..., None]
    lit: Array = sky + glow * (palette("ffdf9e")[0] - sky) * 0.75
    return lit


def _ridge(rng: Rng) -> Array:
    """Return the heights of a mountain ridge along x, (side,), about -1..1."""
    along = np.linspace(0, 1, _SIDE_PX)
    line = np.zeros(_SIDE_PX)
    for octave in range(7):
        knots = rng.uniform(-1, 1, 4 * 2**octave + 1)
        line += np.interp(along, np.linspace(0, 1, len(knots)), knots) * 0.55**octave
    return line


def _mirrored(rng: Rng, above: Array, y: Array) -> Array:
    """Mirror the upper half as water does: more rippled and darker toward the viewer."""
    depth = ((y - _SHORE) / (1 - _SHORE)).clip(0, 1)
    ripples = noise(rng, _SIDE_PX, 60, octaves=2)[:, :1] + 0.4 * noise(rng, _SIDE_PX, 40)
    source = 2 * _SHORE - y + 0.02 * depth * ripples
    rows = (source.clip(0, 1) * (_SIDE_PX - 1)).astype(int)
    columns = np.broadcast_to(np.arange(_SIDE_PX), rows.shape)
    shade = (0.9 - 0.35 * depth)[..., None]
    water: Array = above[rows, columns] * shade + palette("16233f")[0] * (1 - shade) * 0.6
    return water


def _digit(rng: Rng, digit: int) -> Image.Image:
    """Draw a digit in black on white, enlarged and then downscaled."""
    scale = 4
    side = scale * _DIGIT_PX
    image = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(image)
    width = int(rng.uniform(0.055, 0.10) * side)
    turn, slant, wide, high = rng.normal(0, 0.12), rng.normal(0, 0.15), *rng.uniform(0.8, 1, 2)
    hand = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    hand = hand @ np.array([[0.42 * wide, -slant * 0.4], [0, 0.62 * high]])
    for stroke in _STROKES[digit]:
        corners = np.array(stroke) + rng.normal(0, _JITTER, (len(stroke), 2)) - 0.5
        points = (_smooth(corners) @ hand.T + 0.5) * side
        pen.line([tuple(point) for point in points], fill=25, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=25)
    return image.resize((_DIGIT_PX, _DIGIT_PX), Image.Resampling.LANCZOS)


def _smooth(points: Array) -> Array:
    """Smooth a polyline (n, 2) by repeated corner cutting (Chaikin 1974); keep its ends."""
    for _ in range(4):
        near, far = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        inner = np.stack([near, far], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], inner, points[-1:]])
    return points


if __name__ == "__main__":
    main()
