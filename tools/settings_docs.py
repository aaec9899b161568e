"""Writes docs/settings.md from `app.settings`: `python -m tools.settings_docs`."""

from pathlib import Path

from pydantic.fields import FieldInfo

from app.settings import Settings

TARGET = Path(__file__).parents[1] / "docs" / "settings.md"

_SECTIONS = {  # by the first setting of each
    "host": "Address and access",
    "max_requests_per_minute": "Rate limits",
    "data_dir": "Folders, device and models",
    "max_image_bytes": "Requests",
    "max_evaluation_s": "Classification and evaluation",
    "workers": "Workers, database, broker and object store",
    "max_size": "Paintings",
    "max_queued_jobs": "Jobs and their files",
    "report_s": "Leases, retries and the watchdog",
    "log_level": "Log",
}
_HEAD = """# Settings

All settings come from the environment; `--host` and `--port` also from the command line. This page
is generated from `app/settings.py` by `python -m tools.settings_docs`.
"""
_TABLE = "| variable | default | meaning |\n|---|---|---|\n"
_GROUPED_FROM = 10_000
_SHOWN = {"models_dir": "models"}  # the real default is an absolute path


def page() -> str:
    """Return the text of the page."""
    lines = [_HEAD]
    for name, field in Settings.model_fields.items():
        if name in _SECTIONS:
            lines.append(
                f"\n## {_SECTIONS[name]}\n\n| variable | default | meaning |\n|---|---|---|\n"
            )
        default = _default(name, field)
        lines.append(f"| `ATELIER_{name.upper()}` | {default} | {field.description} |\n")
    return "".join(lines)


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "`cores`"
    value = _SHOWN.get(name, field.default)
    if value is None or value == "":
        return ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"`{value:,}`" if is_number and value >= _GROUPED_FROM else f"`{value}`"


if __name__ == "__main__":
    TARGET.write_text(page())
