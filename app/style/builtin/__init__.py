"""The six built-in style images, drawn by `draw.py`."""

from pathlib import Path

NAMES = ("brushwork", "marbling", "mosaic", "stained-glass", "watercolour", "woodcut")


def path_of(name: str) -> Path | None:
    """Return the file of a built-in style, or None if there is no style of that name."""
    return Path(__file__).with_name(f"{name}.jpg") if name in NAMES else None
