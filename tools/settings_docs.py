"""Writes docs/settings.md from `app.settings`: `python -m tools.settings_docs`."""

import inspect
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from app.settings import Settings

TARGET = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = """# Settings

All settings come from the environment; `--host` and `--port` also from the command line. This page
is generated from `app/settings.py` by `python -m tools.settings_docs`. Numbers may contain
underscores.
"""
_TABLE = "| variable | default | values | meaning |\n|---|---|---|---|\n"
_SECTION_OR_FIELD = re.compile(r"^    (?:# (?P<section>.+)|(?P<field>\w+): .+)$", re.MULTILINE)
_GROUPED_FROM = 100_000
_SHOWN = {"models_dir": "models"}  # the real default is an absolute path


def page() -> str:
    """Return the text of the page."""
    lines = [_HEAD]
    for found in _SECTION_OR_FIELD.finditer(inspect.getsource(Settings)):
        if found["section"]:
            lines.append(f"\n## {found['section']}\n\n{_TABLE}")
        elif found["field"] in Settings.model_fields:
            lines.append(_row(found["field"], Settings.model_fields[found["field"]]))
    return "".join(lines)


def _row(name: str, field: FieldInfo) -> str:
    cells = (f"`ATELIER_{name.upper()}`", _default(name, field), _values(field), field.description)
    return f"| {' | '.join(map(str, cells))} |\n"


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "`cores`"
    value = _SHOWN.get(name, field.default)
    return "" if value is None or value == "" else f"`{_text(value)}`"


def _text(value: object) -> str:
    """Return a value as it can be set in the environment, with underscores in large numbers."""
    is_large = isinstance(value, int | float) and value >= _GROUPED_FROM
    return f"{value:_}" if is_large else str(value)


def _values(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    kinds = {field.annotation, *get_args(field.annotation)}
    if bool in kinds:
        return "`True`, `False`"
    if kinds & {int, float}:
        return _range(field, is_whole=int in kinds)
    if Path in kinds:
        return "path"
    return "text"


def _range(field: FieldInfo, *, is_whole: bool) -> str:
    limits = {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in ("gt", "ge", "le")
        if hasattr(limit, name)
    }
    if "gt" in limits and not is_whole:
        return f"above {limits['gt']}"
    lowest = limits["gt"] + 1 if "gt" in limits else limits["ge"]
    return f"{lowest} to {_text(limits['le'])}" if "le" in limits else f"{lowest} or more"


if __name__ == "__main__":
    TARGET.write_text(page())
