"""Styles made of hard pieces: glass, stones, a cut block of wood."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.style.builtin.tools import Array, Rng, blend, grid, noise, palette


def stained_glass(rng: Rng, side: int) -> Array:
    """Jewel-coloured panes between lead, lit from behind."""
    rings = [
        (0.5 + r * np.cos(t) + rng.normal(0, 0.008), 0.5 + r * np.sin(t) + rng.normal(0, 0.008))
        for number, r in enumerate((0.07, 0.16, 0.26, 0.37, 0.49, 0.62))
        for t in np.linspace(0, 2 * np.pi, 7 + 6 * number, endpoint=False) + 0.3 * number
    ]
    index, best, second = _nearest_two(np.array([(0.5, 0.5), *rings]), side)
    inks = palette("b3122b", "e0421b", "f4a300", "ffd84d", "1b7f3b", "0e5fae", "123a8c", "6a1b8a")
    panes = inks[rng.integers(0, len(inks), len(rings) + 1)]
    panes = (panes * rng.uniform(0.75, 1.2, (len(panes), 1)))[index]
    light = 1.15 - 6 * best + 0.1 * noise(rng, side, 24, 3) + 0.06 * noise(rng, side, 6)
    glass = panes * light[..., None] + 0.05
    lead = (second - best) / 0.016
    ridge = np.exp(-(((lead - 0.35) / 0.18) ** 2)) * 0.22
    dark = np.full(3, 0.04) + ridge[..., None]
    return np.where((lead < 1)[..., None], dark, glass)


def _nearest_two(seeds: Array, side: int) -> tuple[NDArray[np.intp], Array, Array]:
    """Index of the nearest seed of each pixel, and the distances to the nearest two."""
    x, y = grid(side)
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


def mosaic(rng: Rng, side: int) -> Array:
    """Small stones laid along the contours of a sun over waves."""
    x, y = grid(side)
    canvas = Image.new("RGB", (side, side), (88, 80, 72))
    draw = ImageDraw.Draw(canvas)
    sea = y - 0.62 - 0.05 * np.sin(2 * np.pi * 1.5 * x)
    sun = np.hypot(x - 0.5, y - 0.34) - 0.17
    height = np.where(sea > 0, sea - 0.02 * np.sin(12 * np.pi * x), sun) + 0.002 * noise(
        rng, side, 6
    )
    row, column = np.gradient(height)
    direction = np.arctan2(row, column)
    sky = palette("f6e7c1", "f3c98b", "d9895b", "8fb8c9", "f6e7c1")
    gold = palette("fff1b0", "f6b93b", "e55039", "b71540")
    water = palette("0a3d62", "3c6382", "60a3bc", "82ccdd", "0c2461")
    step = 15 / 768
    for cy in np.arange(0, 1 + step, step * 0.96):
        for cx in np.arange(0, 1 + step, step * 0.96):
            px, py = np.array([cx, cy]) + rng.normal(0, step * 0.05, 2)
            j, i = (int(min(max(v, 0), 0.999) * side) for v in (px, py))
            if sea[i, j] > 0:
                colour = blend(water, np.array((sea[i, j] * 9) % 1))
            elif sun[i, j] < 0:
                colour = blend(gold, np.array(1 + sun[i, j] / 0.17))
            else:
                colour = blend(sky, np.array((sun[i, j] * 5) % 1))
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


def woodcut(rng: Rng, side: int) -> Array:
    """Black ink on cream paper: lines cut along hills, a sky of rays."""
    x, y = grid(side)
    ink = np.zeros((side, side))
    sun_x, sun_y = 0.66, 0.24
    bearing = np.arctan2(y - sun_y, x - sun_x)
    distance = np.hypot(x - sun_x, y - sun_y)
    tone = 0.25 + 0.5 * distance + 0.05 * noise(rng, side, 5)
    ink = _cut(bearing * 24 + 0.25 * noise(rng, side, 8), tone)
    ink = np.where(distance < 0.1, _cut(distance * 80, np.full_like(x, 0.2)), ink)
    for level, slope, density in (
        (0.45, 3.0, 58),
        (0.58, -2.0, 44),
        (0.73, 1.2, 34),
        (0.88, -3, 26),
    ):
        crest = (
            level + 0.055 * np.sin(2 * np.pi * (x * 1.3 + level * 3)) + 0.02 * noise(rng, side, 6)
        )
        depth = y - crest
        shade = 0.68 - 3.0 * depth.clip(0, 0.12) + 0.22 * np.sin(2 * np.pi * (x * 2 + level * 5))
        lines = (x * slope / 10 + depth + 0.012 * noise(rng, side, 9)) * density
        hill = np.maximum(_cut(lines, shade), (np.abs(depth) < 0.006).astype(float))
        ink = np.where(depth > -0.006, hill, ink)
    grain = (noise(rng, side, 150, 2) > 1.9).astype(float)
    ink = np.clip(ink - 0.8 * grain, 0, 1)
    paper = palette("f1e4c6")[0] + 0.015 * noise(rng, side, 90, 2)[..., None]
    result: Array = paper * (1 - ink[..., None]) + palette("161210")[0] * ink[..., None]
    return result


def _cut(phase: Array, tone: Array) -> Array:
    """Lines at whole numbers of `phase`, as wide as the tone (0 white .. 1 black) asks for."""
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    return (wave > 1 - tone.clip(0.04, 0.96)).astype(float)
