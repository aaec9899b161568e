"""Command that draws the built-in styles: `python -m tools.draw_styles [NAME ...]`.

The output depends on a fixed seed only, so that the pictures can be reproduced.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from app.style.builtin import NAMES, path_of
from tools.raster import Array, Rng, to_image
from tools.style_patterns import (
    brushwork,
    marbling,
    mosaic,
    stained_glass,
    watercolor,
    woodcut,
)

SIZE_PX = 768
_SEED = 7
_MAX_BYTES = 200_000

_PATTERNS: dict[str, Callable[[Rng, int], Array]] = {
    "brushwork": brushwork,
    "marbling": marbling,
    "mosaic": mosaic,
    "stained-glass": stained_glass,
    "watercolour": watercolor,
    "woodcut": woodcut,
}


def draw(name: str) -> Image.Image:
    """Draw a style at twice its size and downscale it, so that edges are smooth."""
    colors = _PATTERNS[name](np.random.default_rng(_SEED), 2 * SIZE_PX)
    return to_image(colors).resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS)


def save(image: Image.Image, path: Path) -> None:
    """Write a JPEG with the highest quality that stays below the size limit."""
    for quality in range(92, 20, -3):
        image.save(path, "JPEG", quality=quality, optimize=True)
        if path.stat().st_size < _MAX_BYTES:
            return


def main() -> None:
    """Draw the styles named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    for name in parser.parse_args().names or NAMES:
        path = path_of(name)
        if path is not None:
            save(draw(name), path)


if __name__ == "__main__":
    main()
