"""The command line that all training scripts share."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from app.vision.errors import AtelierError
from training.recipe import Recipe
from training.session import Options, Session
from training.task import Task

_FEWEST_IMAGES = 10
_SEEDS = 2**63
_INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


def main(task: Task, module: str, arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    say = partial(Console(stderr=True).print, markup=False, highlight=False, soft_wrap=True)
    task, options = _parse(task, module, arguments)
    try:
        Session(task, options, Console()).run()
    except AtelierError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        interrupted = options.run_folder(task.spec.name).interrupted
        advice = _how_to_resume(module, arguments) if interrupted else "No epoch was complete."
        say(f"\nInterrupted. {advice}")
        return _INTERRUPTED
    return 0


def _how_to_resume(module: str, arguments: Sequence[str]) -> str:
    kept = [argument for argument in arguments if argument not in ("--restart", "--resume")]
    command = shlex.join(["python", "-m", module, *kept, "--resume"])
    return f"The complete epochs are kept; go on by: {command}"


def _parse(task: Task, module: str, arguments: Sequence[str]) -> tuple[Task, Options]:
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=f"Train the {task.spec.name} network and save it as a checkpoint.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    _add_recipe(parser, task.recipe)
    values = vars(parser.parse_args(arguments))
    try:
        recipe = replace(
            task.recipe, **{field.name: values.pop(field.name) for field in fields(Recipe)}
        )
    except ValueError as error:
        parser.error(str(error))
    return replace(task, recipe=recipe), Options(**values)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    data_dir = Path(os.environ.get("ATELIER_DATASETS", "data"))
    add("--data-dir", type=Path, default=data_dir, help="data sets; ATELIER_DATASETS sets it too")
    add("--models-dir", type=Path, default=Path("models"), help="where checkpoints are kept")
    add("--runs-dir", type=Path, default=Path("runs"), help="where figures and progress go")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--seed", type=_natural, default=0, help="of weights, order, dropout and augmentation")
    add("--split-seed", type=_natural, default=0, help="of the choice of validation images")
    add("--limit", type=_limit, help="read only so many images of each part, for a trial")
    add("--overwrite", action="store_true", help="replace even a better checkpoint")
    interrupted = parser.add_mutually_exclusive_group()
    interrupted.add_argument("--resume", action="store_true", help="go on where a run stopped")
    interrupted.add_argument("--restart", action="store_true", help="discard a run that stopped")


def _add_recipe(parser: argparse.ArgumentParser, recipe: Recipe) -> None:
    group = parser.add_argument_group("recipe")
    for field in fields(Recipe):
        default = getattr(recipe, field.name)
        name = f"--{field.name.replace('_', '-')}"
        group.add_argument(name, type=type(default), default=default, help=field.metadata["help"])


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= _SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 2^63 - 1")
    return int(text)


def _limit(text: str) -> int:
    if _natural(text) < _FEWEST_IMAGES:
        raise argparse.ArgumentTypeError(f"at least {_FEWEST_IMAGES} images are needed")
    return int(text)
