"""Settings, options, models and lazy imports that commands share."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from app.errors import AtelierError
from app.settings import Settings
from app.vision.errors import CheckpointError

if TYPE_CHECKING:
    from app.vision.classifier import Classifier

INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""


class SettingsError(AtelierError):
    """A setting of the environment or the command line is not valid."""


def read_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment. `overrides` that are not None take precedence.

    Raises:
        SettingsError: a value is not valid.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
            for each in error.errors()
        )
        raise SettingsError(f"{problems} (settings are ATELIER_* variables)") from error


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add `--host` and `--port`."""
    parser.add_argument("--host", help="address to listen on (default: ATELIER_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port (default: ATELIER_PORT or 8000)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    parser.add_argument(
        "--model", help="default: ATELIER_DEFAULT_MODEL, otherwise the first available"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N (default: ATELIER_DEVICE)")


def load_classifier(name: str | None, settings: Settings) -> "Classifier":
    """Load the model of a name, or the service's default model.

    Raises:
        SettingsError: there is no such model.
        CheckpointError: its checkpoint is missing or not usable.
        DeviceError: the host does not have the device of the settings.
    """
    from app.vision.classifier import Classifier  # noqa: PLC0415 - imports torch
    from app.vision.device import choose_device  # noqa: PLC0415
    from app.vision.images import configure_pillow  # noqa: PLC0415
    from app.vision.specs import SPECS  # noqa: PLC0415

    configure_pillow()
    device = choose_device(settings.device)
    if name is not None and name not in SPECS:
        raise SettingsError(f"There is no model {name!r}. The models are: {', '.join(SPECS)}.")
    names = [name] if name else sorted(SPECS, key=lambda each: each != settings.default_model)
    refused: list[str] = []
    for each in names:
        try:
            return Classifier.load(each, settings.models_dir, device)
        except CheckpointError as error:
            refused.append(str(error))
    raise CheckpointError("; ".join(refused))


@contextmanager
def fast_imports() -> Iterator[None]:
    """Disable garbage collection during imports, which leave no garbage.

    Garbage collection takes a fifth of the time of PyTorch's import. The imported objects are then
    excluded from later collections.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
