"""Styles made of wet colour: brush strokes, washes, floating inks."""

import numpy as np
from PIL import ImageDraw

from app.style.builtin.tools import Array, Rng, blend, grid, noise, palette, to_image


def brushwork(rng: Rng, side: int) -> Array:
    """Thick strokes that follow a flow field, from broad to narrow."""
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
    colour = blend(inks, np.array(tone[middle[1], middle[0]] + rng.normal(0, 0.09)))
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


def watercolour(rng: Rng, side: int) -> Array:
    """Transparent washes laid over each other on rough paper, darker at their edges."""
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
    """Inks floated on water and drawn into swirls, after the way paper is marbled.

    Each pixel is led back through the swirls to the layer of ink that it lay in.
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
    colours = inks[layer % len(inks)] * (1 - 0.18 * within[..., None])
    rim = np.exp(-((np.minimum(within, 1 - within) / 0.05) ** 2))[..., None]
    colours = colours * (1 - rim) + palette("c99a2e")[0] * rim
    result: Array = colours * (1 + 0.03 * noise(rng, side, 120, 2)[..., None])
    return result
