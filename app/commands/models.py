"""Models for commands that work without a server."""

from typing import TYPE_CHECKING

from app.commands.options import SettingsError
from app.settings import Settings
from app.vision.errors import CheckpointError

if TYPE_CHECKING:
    from app.vision.classifier import Classifier


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
