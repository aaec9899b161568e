"""Draws the built-in styles: `python -m app.style.builtin.draw [NAME ...]`.

Everything follows from the seed, so the pictures can be drawn again. Coordinates run from 0 to 1
over the picture, colours too.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.style.builtin import NAMES, path_of

Array = NDArray[np.float64]
Rng = np.random.Generator

SIZE_PX = 768
_SEED = 7
_MAX_BYTES = 200_000


def _palette(*colours: str) -> Array:
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colours])


def _grid(side: int) -> tuple[Array, Array]:
    y, x = np.mgrid[0:side, 0:side]
    return (x + 0.5) / side, (y + 0.5) / side


def _noise(rng: Rng, side: int, cells: int, octaves: int = 1) -> Array:
    """Smooth noise (side, side) of about unit spread, with `cells` bumps across."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        coarse = rng.standard_normal((cells * 2**octave + 3,) * 2).astype(np.float32)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(image, dtype=np.float64) * 0.5**octave
    return total


def _blend(palette: Array, position: Array) -> Array:
    """Colours along a palette at positions 0..1: (..., 3)."""
    at = position.clip(0, 1) * (len(palette) - 1)
    low = np.minimum(at.astype(int), len(palette) - 2)
    share = (at - low)[..., None]
    result: Array = palette[low] * (1 - share) + palette[low + 1] * share
    return result


def _image(colours: Array) -> Image.Image:
    return Image.fromarray(np.rint(colours.clip(0, 1) * 255).astype(np.uint8))


def _brushwork(rng: Rng, side: int) -> Array:
    """Thick strokes that follow a flow field, from broad to narrow."""
    x, y = _grid(side)
    angle = 0.5 * _noise(rng, side, 3)
    for cx, cy, turn in (
        (0.3, 0.32, 1.0),
        (0.74, 0.25, -1.0),
        (0.62, 0.74, 1.0),
        (0.12, 0.8, -1.0),
    ):
        near = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.035)
        angle += near * (turn * np.pi / 2 + np.arctan2(y - cy, x - cx) - angle)
    tone = 0.5 + 0.22 * np.sin(9 * (y + 0.12 * _noise(rng, side, 3))) + 0.12 * _noise(rng, side, 5)
    for cx, cy in ((0.3, 0.32), (0.74, 0.25), (0.62, 0.74)):
        ring = np.hypot(x - cx, y - cy)
        tone = np.maximum(tone, 1.25 - 7 * ring)
    palette = _palette("10183f", "1d3f8c", "2f6fb5", "58a4b0", "c9d6a3", "f2c14e", "f78154")
    canvas = _image(_blend(palette, tone))
    draw = ImageDraw.Draw(canvas)
    for width, length, count in ((22, 26, 2200), (12, 24, 6000), (6, 20, 9000)):
        for start in rng.uniform(-0.03, 1.03, (count, 2)) * side:
            _stroke(draw, rng, start, (angle, tone, palette), (width * side / 1024, length))
    return np.asarray(canvas, dtype=np.float64) / 255


def _stroke(
    draw: ImageDraw.ImageDraw,
    rng: Rng,
    start: Array,
    field: tuple[Array, Array, Array],
    shape: tuple[float, int],
) -> None:
    angle, tone, palette = field
    width, length = shape
    side = len(angle)
    at = start.copy()
    points = []
    for _ in range(length):
        column, row = at.astype(int).clip(0, side - 1)
        points.append(at.copy())
        direction = angle[row, column]
        at += width * 0.35 * np.array([np.cos(direction), np.sin(direction)])
    middle = points[len(points) // 2].astype(int).clip(0, side - 1)
    colour = _blend(palette, np.array(tone[middle[1], middle[0]] + rng.normal(0, 0.09)))
    path = np.array(points)
    heading = np.gradient(path, axis=0)
    across = np.stack([-heading[:, 1], heading[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    bristles = max(3, int(width / 3))
    for bristle in np.linspace(-0.5, 0.5, bristles):
        light = colour * (1 - 0.25 * bristle) + rng.normal(0, 0.035)
        line = path + across * bristle * width
        fill = tuple(int(v) for v in (light.clip(0, 1) * 255))
        draw.line([tuple(p) for p in line], fill=fill, width=max(2, round(width / bristles) + 1))


def _nearest_two(seeds: Array, side: int) -> tuple[NDArray[np.intp], Array, Array]:
    """Index of the nearest seed of each pixel, and the distances to the nearest two."""
    x, y = _grid(side)
    best = np.full((side, side), np.inf)
    second = best.copy()
    index = np.zeros((side, side), dtype=np.intp)
    for number, (sx, sy) in enumerate(seeds):
        distance = np.hypot(x - sx, y - sy)
        nearer = distance < best
        second = np.where(nearer, best, np.minimum(second, distance))
        index[nearer] = number
        best = np.minimum(best, distance)
    return index, best, second


def _stained_glass(rng: Rng, side: int) -> Array:
    """Jewel-coloured panes between lead, lit from behind."""
    rings = [
        (0.5 + r * np.cos(t) + rng.normal(0, 0.008), 0.5 + r * np.sin(t) + rng.normal(0, 0.008))
        for number, r in enumerate((0.07, 0.16, 0.26, 0.37, 0.49, 0.62))
        for t in np.linspace(0, 2 * np.pi, 7 + 6 * number, endpoint=False) + 0.3 * number
    ]
    index, best, second = _nearest_two(np.array([(0.5, 0.5), *rings]), side)
    palette = _palette(
        "b3122b", "e0421b", "f4a300", "ffd84d", "1b7f3b", "0e5fae", "123a8c", "6a1b8a"
    )
    panes = palette[rng.integers(0, len(palette), len(rings) + 1)]
    panes = (panes * rng.uniform(0.75, 1.2, (len(panes), 1)))[index]
    light = 1.15 - 6 * best + 0.1 * _noise(rng, side, 24, 3) + 0.06 * _noise(rng, side, 6)
    glass = panes * light[..., None] + 0.05
    lead = (second - best) / 0.016
    ridge = np.exp(-(((lead - 0.35) / 0.18) ** 2)) * 0.22
    dark = np.full(3, 0.04) + ridge[..., None]
    return np.where((lead < 1)[..., None], dark, glass)


def _mosaic(rng: Rng, side: int) -> Array:
    """Small stones laid along the contours of a sun over waves."""
    x, y = _grid(side)
    canvas = Image.new("RGB", (side, side), (88, 80, 72))
    draw = ImageDraw.Draw(canvas)
    sea = y - 0.62 - 0.05 * np.sin(2 * np.pi * 1.5 * x)
    sun = np.hypot(x - 0.5, y - 0.34) - 0.17
    height = np.where(sea > 0, sea - 0.02 * np.sin(12 * np.pi * x), sun) + 0.002 * _noise(
        rng, side, 6
    )
    row, column = np.gradient(height)
    direction = np.arctan2(row, column)
    sky = _palette("f6e7c1", "f3c98b", "d9895b", "8fb8c9", "f6e7c1")
    gold = _palette("fff1b0", "f6b93b", "e55039", "b71540")
    water = _palette("0a3d62", "3c6382", "60a3bc", "82ccdd", "0c2461")
    step = 15 / 768
    for cy in np.arange(0, 1 + step, step * 0.96):
        for cx in np.arange(0, 1 + step, step * 0.96):
            px, py = np.array([cx, cy]) + rng.normal(0, step * 0.05, 2)
            j, i = (int(min(max(v, 0), 0.999) * side) for v in (px, py))
            if sea[i, j] > 0:
                colour = _blend(water, np.array((sea[i, j] * 9) % 1))
            elif sun[i, j] < 0:
                colour = _blend(gold, np.array(1 + sun[i, j] / 0.17))
            else:
                colour = _blend(sky, np.array((sun[i, j] * 5) % 1))
            colour = colour * rng.uniform(0.82, 1.14) + rng.normal(0, 0.025, 3)
            _stone(draw, (px * side, py * side), direction[i, j], step * side, colour)
    return np.asarray(canvas, dtype=np.float64) / 255


def _stone(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], turn: float, size: float, colour: Array
) -> None:
    corners = [turn + np.pi / 4 + k * np.pi / 2 for k in range(4)]
    outline = [(np.cos(a), np.sin(a)) for a in corners]
    for scale, light in ((0.60, 0.82), (0.50, 1.0)):
        fill = tuple(int(v) for v in ((colour * light).clip(0, 1) * 255))
        shape = [(centre[0] + c * size * scale, centre[1] + s * size * scale) for c, s in outline]
        draw.polygon(shape, fill=fill)


def _woodcut(rng: Rng, side: int) -> Array:
    """Black ink on cream paper: lines cut along hills, a sky of rays."""
    x, y = _grid(side)
    ink = np.zeros((side, side))
    sun_x, sun_y = 0.66, 0.24
    bearing = np.arctan2(y - sun_y, x - sun_x)
    distance = np.hypot(x - sun_x, y - sun_y)
    tone = 0.25 + 0.5 * distance + 0.05 * _noise(rng, side, 5)
    ink = _cut(bearing * 24 + 0.25 * _noise(rng, side, 8), tone)
    ink = np.where(distance < 0.1, _cut(distance * 80, np.full_like(x, 0.2)), ink)
    for level, slope, density in (
        (0.45, 3.0, 58),
        (0.58, -2.0, 44),
        (0.73, 1.2, 34),
        (0.88, -3, 26),
    ):
        crest = (
            level + 0.055 * np.sin(2 * np.pi * (x * 1.3 + level * 3)) + 0.02 * _noise(rng, side, 6)
        )
        depth = y - crest
        shade = 0.68 - 3.0 * depth.clip(0, 0.12) + 0.22 * np.sin(2 * np.pi * (x * 2 + level * 5))
        lines = (x * slope / 10 + depth + 0.012 * _noise(rng, side, 9)) * density
        hill = np.maximum(_cut(lines, shade), (np.abs(depth) < 0.006).astype(float))
        ink = np.where(depth > -0.006, hill, ink)
    grain = (_noise(rng, side, 150, 2) > 1.9).astype(float)
    ink = np.clip(ink - 0.8 * grain, 0, 1)
    paper = _palette("f1e4c6")[0] + 0.015 * _noise(rng, side, 90, 2)[..., None]
    result: Array = paper * (1 - ink[..., None]) + _palette("161210")[0] * ink[..., None]
    return result


def _cut(phase: Array, tone: Array) -> Array:
    """Lines at whole numbers of `phase`, as wide as the tone (0 white .. 1 black) asks for."""
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    return (wave > 1 - tone.clip(0.04, 0.96)).astype(float)


def _watercolour(rng: Rng, side: int) -> Array:
    """Transparent washes laid over each other on rough paper, darker at their edges."""
    grain = _noise(rng, side, 200, 2)
    picture = np.ones((side, side, 3)) * _palette("fbf7ee")[0] + 0.012 * grain[..., None]
    pigments = _palette(
        "2f8fd0", "38bfae", "f0648c", "ff9a4a", "8a6fd0", "f7d046", "f0648c", "2f8fd0"
    )
    x, y = _grid(side)
    for number in range(40):
        cx, cy = rng.uniform(-0.05, 1.05, 2)
        radius = rng.uniform(0.08, 0.25)
        wobble = 0.35 * _noise(rng, side, 5, 4) * radius
        inside = (radius - np.hypot((x - cx) * rng.uniform(0.7, 1.3), y - cy) + wobble) / radius
        edge = np.exp(-((inside / 0.045) ** 2)) * (inside > -0.02)
        body = 0.5 + 0.5 * np.tanh(inside / 0.024)
        bloom = 0.5 + 0.25 * _noise(rng, side, 4, 3) + 0.05 * grain
        amount = (body * bloom.clip(0.1, 1) * 0.5 + edge * 0.28) * rng.uniform(0.5, 1.0)
        pigment = pigments[number % len(pigments)]
        picture *= 1 - amount[..., None].clip(0, 0.9) * (1 - pigment)
    splash = _noise(rng, side, 60) > 2.6
    result: Array = picture * np.where(splash, 0.72, 1.0)[..., None]
    return result


def _marbling(rng: Rng, side: int) -> Array:
    """Inks floated on water and combed, after the way paper is marbled.

    Each pixel is led back through the strokes of the comb to where its ink was dropped.
    """
    x, y = _grid(side)
    for k, shift in enumerate((0.10, -0.12, 0.09, -0.10, 0.11)):
        comb = (k + 0.5) / 5
        y = y - shift * 0.055 / (0.055 + np.abs(x - comb))
    for k in range(7):
        line = (k + 0.5) / 7
        x = x - (-1) ** k * 0.085 * 0.03 / (0.03 + np.abs(y - line))
    x = x + 0.035 * np.sin(2 * np.pi * 1.5 * y)
    for cx, cy, turn in ((0.3, 0.3, 3.2), (0.72, 0.62, -3.4), (0.28, 0.8, 2.4)):
        dx, dy = x - cx, y - cy
        angle = turn * np.exp(-np.hypot(dx, dy) / 0.09)
        x = cx + dx * np.cos(angle) - dy * np.sin(angle)
        y = cy + dx * np.sin(angle) + dy * np.cos(angle)
    palette = _palette(
        "0b1d3a", "f3ead7", "a4161a", "d9a441", "14496b", "f8f4ea", "0b1d3a", "2a9d8f"
    )
    colours = np.ones((side, side, 3)) * palette[0]
    for number in range(320):
        cx, cy = rng.uniform(-0.1, 1.1, 2)
        radius = rng.uniform(0.015, 0.08)
        drop = np.hypot(x - cx, y - cy) < radius
        colours[drop] = palette[number % len(palette)]
        heart = np.hypot(x - cx, y - cy) < radius * 0.72
        colours[heart] = palette[(number * 3 + 1) % len(palette)]
    result: Array = colours * (1 + 0.03 * _noise(rng, side, 120, 2)[..., None])
    return result


_DRAWERS: dict[str, Callable[[Rng, int], Array]] = {
    "brushwork": _brushwork,
    "marbling": _marbling,
    "mosaic": _mosaic,
    "stained-glass": _stained_glass,
    "watercolour": _watercolour,
    "woodcut": _woodcut,
}


def draw(name: str) -> Image.Image:
    """Draw a style at twice its size and reduce it, so that edges are smooth."""
    colours = _DRAWERS[name](np.random.default_rng(_SEED), 2 * SIZE_PX)
    return _image(colours).resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS)


def save(image: Image.Image, path: Path) -> None:
    """Write a JPEG of the best quality that stays below the size limit."""
    for quality in range(92, 20, -3):
        image.save(path, "JPEG", quality=quality, optimize=True)
        if path.stat().st_size < _MAX_BYTES:
            return


def main() -> None:
    """Draw the named styles, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    for name in parser.parse_args().names or NAMES:
        path = path_of(name)
        if path is not None:
            save(draw(name), path)


if __name__ == "__main__":
    main()
