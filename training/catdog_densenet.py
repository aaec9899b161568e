"""Training of the cat and dog network: python -m training.catdog_densenet.

The features of a pretrained DenseNet-121 are computed once, and a small head is trained on them.
`--unfreeze` then trains the whole network further.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from app.vision import checkpoint
from app.vision.errors import CheckpointError
from app.vision.specs import CATDOG, ModelSpec
from training import cli
from training.augment import CropAndFlip
from training.backbone import find_backbone
from training.data import find_catdog
from training.options import Options
from training.recipe import Recipe
from training.runs import RunError
from training.task import Task
from training.transfer import FineTuning, HeadTask

_MODULE = "training.catdog_densenet"
_VIEWS = 5
_IMAGENET_PX = 224
_MIN_SIDE_PX, _MAX_SIDE_PX = 32, 1024

HEAD = Task(
    spec=CATDOG,
    find_source=partial(find_catdog, picture=CATDOG.input),
    recipe=Recipe(
        epochs=30,
        batch_size=64,
        optimizer="adam",
        schedule="constant",
        learning_rate=0.003,
        weight_decay=0.0,
        warmup=0.0,
        loss="nll",
        label_smoothing=0.0,
        averaging_decay=0.0,
        patience=10,
        print_every=25,
    ),
    augment=CropAndFlip(min_area=0.5, max_stretch=4 / 3),
    storage=torch.float16,
)
UNFROZEN = replace(
    HEAD,
    recipe=Recipe(
        epochs=4,
        batch_size=32,
        optimizer="adamw",
        schedule="one_cycle",
        learning_rate=1e-4,
        weight_decay=0.05,
        warmup=0.2,
        loss="nll",
        label_smoothing=0.0,
        averaging_decay=0.99,
        patience=4,
        print_every=0,
    ),
    run_suffix="-unfrozen",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train according to the command line, and return the exit status."""
    own_options = _own_options()
    own, _ = own_options.parse_known_args(arguments)
    if own.unfreeze:
        if own.backbone or own.input_px:
            own_options.error("--unfreeze goes on with the backbone and input that the head has")
        return cli.main(UNFROZEN, _MODULE, arguments, own_options=own_options, begin=begin_unfrozen)
    begin = partial(begin_head, backbone=own.backbone, input_px=own.input_px)
    return cli.main(HEAD, _MODULE, arguments, own_options=own_options, begin=begin)


def begin_head(
    task: Task, options: Options, *, backbone: Path | None, input_px: int | None
) -> HeadTask:
    """Return the backbone and its input size.

    Raises:
        BackboneError: there is no backbone.
    """
    found = find_backbone(backbone)
    side_px = input_px or (_IMAGENET_PX if found.imagenet else task.spec.input.width)
    spec = replace(task.spec, input=task.spec.input.sized(side_px))
    return HeadTask(
        **_with_spec(task, spec),
        backbone=found,
        view_count=_VIEWS,
        view_seed=options.seed,
        split_seed=options.split_seed,
    )


def begin_unfrozen(task: Task, options: Options) -> FineTuning:
    """Return the checkpoint of the trained head.

    Raises:
        RunError: there is none.
    """
    folder = options.run_folder(HEAD.run_name).path
    try:
        card, network = checkpoint.load(HEAD.spec.name, folder)
    except CheckpointError as error:
        raise RunError(
            f"{error}. Before --unfreeze, the head is trained: python -m {_MODULE}"
        ) from error
    return FineTuning(**_with_spec(task, card.spec), card=card, network=network)


def _with_spec(task: Task, spec: ModelSpec) -> dict[str, Any]:
    """Return the fields of a task with another specification and its images."""
    return vars(task) | {"spec": spec, "find_source": partial(find_catdog, picture=spec.input)}


def _own_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {_MODULE}", add_help=False, allow_abbrev=False
    )
    parser.add_argument(
        "--backbone",
        type=Path,
        help="DenseNet-121 state_dict to start from; default: torchvision's, downloaded",
    )
    parser.add_argument(
        "--input-px",
        type=_side,
        help=f"side of the input; default: {_IMAGENET_PX} for torchvision's weights, "
        f"else {CATDOG.input.width}",
    )
    parser.add_argument(
        "--unfreeze",
        action="store_true",
        help="train the whole network further, from the trained head",
    )
    return parser


def _side(text: str) -> int:
    if not text.isdecimal() or not _MIN_SIDE_PX <= int(text) <= _MAX_SIDE_PX:
        raise argparse.ArgumentTypeError(f"{text!r} is not from {_MIN_SIDE_PX} to {_MAX_SIDE_PX}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
