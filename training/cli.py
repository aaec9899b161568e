"""The command line that the training scripts share."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from app.errors import AtelierError
from training.options import Options
from training.session import Session
from training.task import Task

AnyRecipe = TypeVar("AnyRecipe")
AnyOptions = TypeVar("AnyOptions")

_FEWEST_IMAGES = 10
_SEEDS = 2**63
_INTERRUPTED = 130  # exit status after Ctrl-C, as in shells


def main(
    task: Task,
    module: str,
    arguments: Sequence[str] | None = None,
    *,
    own_options: argparse.ArgumentParser | None = None,
    begin: Callable[[Task, Options], Task] = lambda task, _: task,
) -> int:
    """Train according to the command line, and return the exit status.

    A script may add options, which it parses itself, and may `begin` its task in another way once
    the common options are known.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=f"Train the {task.spec.name} network and save it as a checkpoint.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        parents=[] if own_options is None else [own_options],
        allow_abbrev=False,
    )
    add_common_options(parser)
    _add_checkpoint_options(parser)
    add_recipe(parser, task.recipe)
    values = vars(parser.parse_args(arguments))
    task = replace(task, recipe=read_recipe(parser, values, task.recipe))
    options = read_options(values, Options)
    return guarded(
        lambda: Session(begin(task, options), options, Console()).run(),
        lambda: _advice(options.run_folder(task.run_name).interrupted, module, arguments),
    )


def guarded(run: Callable[[], None], advice: Callable[[], str]) -> int:
    """Run until the end, an error or Ctrl-C, say how to continue, and return the exit status."""
    say = partial(Console(stderr=True).print, markup=False, highlight=False, soft_wrap=True)
    try:
        run()
    except AtelierError as error:
        say(f"error: {error}")
        return 1
    except BaseException as error:
        if not _is_interruption(error):
            raise
        say(f"\nInterrupted. {advice()}")
        return _INTERRUPTED
    return 0


def _is_interruption(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused an error: `torch.save` raises one of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every training script."""
    add = parser.add_argument
    data_dir = Path(os.environ.get("ATELIER_DATASETS", "data"))
    add("--data-dir", type=Path, default=data_dir, help="data sets (also: ATELIER_DATASETS)")
    add("--runs-dir", type=Path, default=Path("runs"), help="folder of figures and progress")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--seed", type=_natural, default=0, help="of weights, order, dropout and augmentation")
    add("--split-seed", type=_natural, default=0, help="of the choice of validation images")
    add("--limit", type=_limit, help="number of images to read of each part, for a trial")


def add_recipe(parser: argparse.ArgumentParser, defaults: object) -> None:
    """Declare an option for each field of a recipe, a dataclass."""
    group = parser.add_argument_group("recipe")
    for field in fields(defaults):  # type: ignore[arg-type]
        default = getattr(defaults, field.name)
        several = isinstance(default, tuple)
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(default[0] if several else default),
            nargs="+" if several else None,
            default=default,
            help=field.metadata["help"],
        )


def read_recipe(
    parser: argparse.ArgumentParser, values: Mapping[str, Any], defaults: AnyRecipe
) -> AnyRecipe:
    """Parse the options that `add_recipe` declared; exit if they are not valid."""
    given = {field.name: values[field.name] for field in fields(defaults)}  # type: ignore[arg-type]
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    try:
        return replace(defaults, **given)  # type: ignore[type-var]
    except ValueError as error:
        parser.error(str(error))


def read_options(values: Mapping[str, Any], kind: type[AnyOptions]) -> AnyOptions:
    """Return the fields of a dataclass of options."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: values[name] for name in names})


def _add_checkpoint_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--models-dir", type=Path, default=Path("models"), help="folder of the checkpoints")
    add("--overwrite", action="store_true", help="replace even a better checkpoint")
    interrupted = parser.add_mutually_exclusive_group()
    interrupted.add_argument("--resume", action="store_true", help="continue an interrupted run")
    interrupted.add_argument("--restart", action="store_true", help="discard an interrupted run")


def _advice(interrupted: bool, module: str, arguments: Sequence[str]) -> str:
    if not interrupted:
        return "No epoch was complete."
    kept = [argument for argument in arguments if argument not in ("--restart", "--resume")]
    command = shlex.join(["python", "-m", module, *kept, "--resume"])
    return f"The complete epochs are saved. Continue with: {command}"


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= _SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 2^63 - 1")
    return int(text)


def _limit(text: str) -> int:
    if _natural(text) < _FEWEST_IMAGES:
        raise argparse.ArgumentTypeError(f"at least {_FEWEST_IMAGES} images are needed")
    return int(text)
