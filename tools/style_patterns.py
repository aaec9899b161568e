"""Procedural patterns of the built-in styles: crafted (glass, stone, wood) and painted ones."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tools.raster import Array, Rng, blend, grid, noise, palette, to_image


def stained_glass(rng: Rng, side: int) -> Array:
    """Draw jewel-colored panes between lead lines, lit from behind."""
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
    """Return each pixel's nearest seed and distances to the nearest two, (side, side) each."""
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
    """Draw small stones along the contours of a sun over waves."""
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
                color = blend(water, np.array((sea[i, j] * 9) % 1))
            elif sun[i, j] < 0:
                color = blend(gold, np.array(1 + sun[i, j] / 0.17))
            else:
                color = blend(sky, np.array((sun[i, j] * 5) % 1))
            color = color * rng.uniform(0.82, 1.14) + rng.normal(0, 0.025, 3)
            _stone(draw, (px * side, py * side), direction[i, j], step * side, color)
    return np.asarray(canvas, dtype=np.float64) / 255


def _stone(
    draw: ImageDraw.ImageDraw, center: tuple[float, float], turn: float, size: float, color: Array
) -> None:
    corners = [turn + np.pi / 4 + k * np.pi / 2 for k in range(4)]
    outline = [(np.cos(a), np.sin(a)) for a in corners]
    for scale, light in ((0.60, 0.82), (0.50, 1.0)):
        fill = tuple(int(v) for v in ((color * light).clip(0, 1) * 255))
        shape = [(center[0] + c * size * scale, center[1] + s * size * scale) for c, s in outline]
        draw.polygon(shape, fill=fill)


def woodcut(rng: Rng, side: int) -> Array:
    """Draw hills and sun rays as lines of black ink on cream paper."""
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
    """Draw lines at whole numbers of `phase`; `tone` (0 white .. 1 black) sets their width."""
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    return (wave > 1 - tone.clip(0.04, 0.96)).astype(float)


def brushwork(rng: Rng, side: int) -> Array:
    """Draw thick strokes along a flow field, from broad to narrow."""
    x, y = grid(side)
    angle = 0.5 * noise(rng, side, 3)
    for cx, cy, turn in (
        (0.3, 0.32, 1.0),
        (0.74, 0.25, -1.0),
        (0.62, 0.74, 1.0),
        (0.12, 0.8, -1.0),
    ):
        near = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.035)
        angle += near * (turn * np.pi / 2 + np.arctan2(y - cy, x - cx) - angle)
    tone = 0.5 + 0.22 * np.sin(9 * (y + 0.12 * noise(rng, side, 3))) + 0.12 * noise(rng, side, 5)
    for cx, cy in ((0.3, 0.32), (0.74, 0.25), (0.62, 0.74)):
        ring = np.hypot(x - cx, y - cy)
        tone = np.maximum(tone, 1.25 - 7 * ring)
    inks = palette("10183f", "1d3f8c", "2f6fb5", "58a4b0", "c9d6a3", "f2c14e", "f78154")
    canvas = to_image(blend(inks, tone))
    draw = ImageDraw.Draw(canvas)
    for width, length, count in ((22, 26, 2200), (12, 24, 6000), (6, 20, 9000)):
        for start in rng.uniform(-0.03, 1.03, (count, 2)) * side:
            _stroke(draw, rng, start, (angle, tone, inks), (width * side / 1024, length))
    return np.asarray(canvas, dtype=np.float64) / 255


def _stroke(
    draw: ImageDraw.ImageDraw,
    rng: Rng,
    start: Array,
    field: tuple[Array, Array, Array],
    shape: tuple[float, int],
) -> None:
    angle, tone, inks = field
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
    color = blend(inks, np.array(tone[middle[1], middle[0]] + rng.normal(0, 0.09)))
    path = np.array(points)
    heading = np.gradient(path, axis=0)
    across = np.stack([-heading[:, 1], heading[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    bristles = max(3, int(width / 3))
    for bristle in np.linspace(-0.5, 0.5, bristles):
        light = color * (1 - 0.25 * bristle) + rng.normal(0, 0.035)
        line = path + across * bristle * width
        fill = tuple(int(v) for v in (light.clip(0, 1) * 255))
        draw.line([tuple(p) for p in line], fill=fill, width=max(2, round(width / bristles) + 1))


def watercolor(rng: Rng, side: int) -> Array:
    """Draw overlapping transparent washes on rough paper, darker at their edges."""
    grain = noise(rng, side, 200, 2)
    picture = np.ones((side, side, 3)) * palette("fbf7ee")[0] + 0.012 * grain[..., None]
    pigments = palette(
        "2f8fd0", "38bfae", "f0648c", "ff9a4a", "8a6fd0", "f7d046", "f0648c", "2f8fd0"
    )
    x, y = grid(side)
    for number in range(40):
        cx, cy = rng.uniform(-0.05, 1.05, 2)
        radius = rng.uniform(0.08, 0.25)
        wobble = 0.35 * noise(rng, side, 5, 4) * radius
        inside = (radius - np.hypot((x - cx) * rng.uniform(0.7, 1.3), y - cy) + wobble) / radius
        edge = np.exp(-((inside / 0.045) ** 2)) * (inside > -0.02)
        body = 0.5 + 0.5 * np.tanh(inside / 0.024)
        bloom = 0.5 + 0.25 * noise(rng, side, 4, 3) + 0.05 * grain
        amount = (body * bloom.clip(0.1, 1) * 0.5 + edge * 0.28) * rng.uniform(0.5, 1.0)
        pigment = pigments[number % len(pigments)]
        picture *= 1 - amount[..., None].clip(0, 0.9) * (1 - pigment)
    splash = noise(rng, side, 60) > 2.6
    result: Array = picture * np.where(splash, 0.72, 1.0)[..., None]
    return result


def marbling(rng: Rng, side: int) -> Array:
    """Draw layers of ink distorted by swirls, as in paper marbling.

    Each pixel is traced back through the swirls to its layer of ink.
    """
    x, y = grid(side)
    for _ in range(9):
        cx, cy = rng.uniform(0, 1, 2)
        angle = rng.choice((-1, 1)) * rng.uniform(2.5, 4.5)
        turn = angle * np.exp(-((np.hypot(x - cx, y - cy) / rng.uniform(0.1, 0.2)) ** 2))
        dx, dy = x - cx, y - cy
        x = cx + dx * np.cos(turn) - dy * np.sin(turn)
        y = cy + dx * np.sin(turn) + dy * np.cos(turn)
    depth = 13 * (y + 0.045 * np.sin(9 * x + 2) + 0.02 * np.sin(23 * x + 11 * y))
    inks = palette("12355b", "e8dcc3", "1f7a8c", "f6efe0", "b23a48", "e9b44c", "0d2137", "f6efe0")
    layer = np.floor(depth).astype(int)
    within = depth - layer
    colors = inks[layer % len(inks)] * (1 - 0.18 * within[..., None])
    rim = np.exp(-((np.minimum(within, 1 - within) / 0.05) ** 2))[..., None]
    colors = colors * (1 - rim) + palette("c99a2e")[0] * rim
    result: Array = colors * (1 + 0.03 * noise(rng, side, 120, 2)[..., None])
    return result
