"""`python -m app stylize PHOTO --style PAINTING -o OUT.png`: style transfer without a server."""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.common import INTERRUPTED, add_device, read_settings
from app.errors import AtelierError
from app.files import atomic_write
from app.settings import Settings
from app.style.builtin import NAMES, path_of
from app.style.estimate import memory_shortage
from app.style.options import STYLE_LAYERS, Color, Init, Quality, StyleOptions
from app.style.schedule import Stage, plan, remaining
from app.vision.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    from app.style.transfer import StyleStep

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(StyleOptions)}
_FORMATS = ("png", "jpg", "jpeg", "webp")


class StylizeError(AtelierError):
    """The arguments are not valid."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments. Missing ones have the defaults of `StyleOptions`."""
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument(
        "--style",
        action="append",
        required=True,
        metavar="PAINTING",
        help=f"a picture, or a built-in style ({', '.join(NAMES)}); several are blended",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="a PNG, JPEG or WebP file")
    add_device(parser)
    parser.add_argument(
        "--weights", type=Path, help="a state_dict of VGG19 (default: ATELIER_VGG19_WEIGHTS)"
    )
    parser.add_argument(
        "--weights-convention",
        choices=("caffe", "torchvision"),
        help="the input convention of --weights (default: ATELIER_VGG19_CONVENTION)",
    )
    option = parser.add_argument_group("options").add_argument
    option("--size", type=int, help=f"longest side, in pixels (default: {_DEFAULTS['size']})")
    option("--quality", choices=[each.value for each in Quality], help=_default("quality"))
    option("--strength", type=float, help="0 to 1, " + _default("strength"))
    option("--content-weight", type=float, help="alpha; needs --style-weight, excludes --strength")
    option("--style-weight", type=float, help="beta; needs --content-weight, excludes --strength")
    option("--style-weights", type=_numbers, help="weights of several styles, such as 2,1")
    option("--layer-weights", type=_numbers, help=f"weights of {', '.join(STYLE_LAYERS)}")
    option("--color", choices=[each.value for each in Color], help=_default("color"))
    option(
        "--style-scale", type=float, help="longest side of the style image relative to the result's"
    )
    option("--init", choices=[each.value for each in Init], help=_default("init"))
    option("--seed", type=int, help="default: random, stored in the result")


def run(args: argparse.Namespace) -> int:
    """Paint one photograph and return the exit status.

    On Ctrl-C, the current painting becomes the result.
    """
    from app.style.calibration import memory_calibration  # noqa: PLC0415
    from app.style.images import encode  # noqa: PLC0415 - imports torch
    from app.style.targets import StyleTargets  # noqa: PLC0415
    from app.style.transfer import stylize  # noqa: PLC0415
    from app.style.vgg import VGG19, Convention  # noqa: PLC0415
    from app.vision.device import choose_device, memory_bytes  # noqa: PLC0415
    from app.vision.heap import retain_freed_memory  # noqa: PLC0415
    from app.vision.images import configure_pillow  # noqa: PLC0415

    _check_output(args.output)
    if args.output.exists() and args.photo.exists() and args.output.samefile(args.photo):
        raise StylizeError(f"{args.output} is the photograph itself; choose another name")
    file_format = args.output.suffix.lower().lstrip(".")
    if file_format not in _FORMATS:
        raise StylizeError(f"{args.output.name}: the name must end in .{', .'.join(_FORMATS)}")
    configure_pillow()
    settings = read_settings(
        device=args.device,
        vgg19_weights=args.weights,
        vgg19_convention=args.weights_convention,
    )
    options = _options(args)
    photo = _read(args.photo, settings)
    styles = [_read(path_of(style) or Path(style), settings) for style in args.style]
    retain_freed_memory()
    device = choose_device(settings.device)
    convention = Convention(settings.vgg19_convention)
    network = VGG19.load(device, settings.vgg19_weights, convention)
    console = Console(stderr=True)
    try:
        problem = memory_shortage(
            options, photo.size, memory_bytes(device), memory_calibration(network), len(styles)
        )
        if problem is not None:
            raise StylizeError(f"too large for this device: {problem}")
        steps = stylize(photo, styles, options, targets=StyleTargets(network))
        last, interrupted = _watch(steps, plan(options, *photo.size), console)
    except ValueError as error:
        raise StylizeError(str(error)) from error
    if last is not None:
        parameters = _parameters(args, options, last, settings.vgg19_weights)
        _write(args.output, encode(last.result(), file_format, parameters))
        name = escape(str(args.output))
        console.print(f"{name}: step {last.step} of {last.steps}, seed {options.seed}")
    return INTERRUPTED if interrupted else 0


def _watch(
    steps: "Iterator[StyleStep]", stages: tuple[Stage, ...], console: Console
) -> tuple["StyleStep | None", bool]:
    """Run the steps with a progress bar; return the last one, and whether Ctrl-C ended them."""
    last = None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.fields[step]} of {task.fields[steps]}"),
        TimeRemainingColumn(),
    )
    total_steps = sum(stage.steps for stage in stages)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(
            "analyzing the style", total=_pixels_left(stages, 0), step=0, steps=total_steps
        )
        done = 0  # in pixels: a step at a quarter of the size costs a sixteenth
        try:
            for last in steps:
                done += last.width * last.height
                progress.update(
                    task,
                    completed=done,
                    total=done + _pixels_left(stages, last.step),
                    step=last.step,
                    description=f"{last.width}x{last.height}, "
                    f"loss {last.content_loss + last.style_loss:.4g}",
                )
        except KeyboardInterrupt:
            return last, True
    return last, False


def _check_output(path: Path) -> None:
    """Check before the work that the result can be written."""
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise StylizeError(f"{path} cannot be written: {error.strerror}") from error
    if not existed:
        path.unlink()


def _pixels_left(stages: tuple[Stage, ...], step: int) -> int:
    return sum(left * stage.pixels for stage, left in remaining(stages, step))


def _options(args: argparse.Namespace) -> StyleOptions:
    given = {name: getattr(args, name) for name in _DEFAULTS}
    try:
        return StyleOptions.from_json({k: v for k, v in given.items() if v is not None})
    except ValueError as error:
        raise StylizeError(str(error)) from error


def _read(path: Path, settings: Settings) -> "Image.Image":
    from app.vision.images import read_header  # noqa: PLC0415

    limits = settings.image_limits
    try:
        return read_header(path.read_bytes(), limits).decode(to_srgb=True)
    except OSError as error:
        raise StylizeError(f"{path} cannot be read: {error.strerror}") from error
    except ImageError as error:
        raise StylizeError(f"{path}: {error}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise StylizeError(f"{path} cannot be written: {error.strerror}") from error


def _parameters(
    args: argparse.Namespace, options: StyleOptions, last: "StyleStep", weights: Path | None
) -> dict[str, Any]:
    return {
        **dataclasses.asdict(options),
        "weights": weights.name if weights else None,
        "styles": [Path(style).name for style in args.style],
        "steps": last.step,
    }


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of numbers such as 2,1"
        ) from error


def _default(name: str) -> str:
    return f"default: {_DEFAULTS[name]}"
