"""`python -m app evaluate FOLDER_OR_ZIP`: the same as `POST /evaluate`, without a server."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from app.commands.common import add_device, add_model, load_classifier, read_settings
from app.commands.report import show
from app.errors import AtelierError
from app.settings import Settings

if TYPE_CHECKING:
    from app.engines.options import Preference
    from app.evaluation.report import EvaluationReport
    from app.vision.classifier import Classifier


class EvaluateError(AtelierError):
    """There are no images, or the figure cannot be written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", type=Path, metavar="FOLDER_OR_ZIP")
    add_model(parser)
    add_device(parser)
    parser.add_argument(
        "--engine",
        choices=("exact", "served"),
        default="exact",
        help="exact: float32 PyTorch (the default); served: the engine of ATELIER_ENGINE",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw the report, as PNG, PDF or SVG"
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate a model on labeled images, in folders with the names of the classes."""
    if not (options.path.is_dir() or options.path.is_file()):
        raise EvaluateError(f"there is no folder or archive {options.path}")
    if options.figure:
        _check_figure(options.figure)
    settings = read_settings(device=options.device)
    classifier = load_classifier(options.model, settings)
    preference = "exact" if options.engine == "exact" else settings.engine
    report = _evaluate(options.path, classifier, settings, preference)
    if options.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        show(report, Console(highlight=False))
    if options.figure:
        _draw(report, options.figure)
    return 0


def _evaluate(
    path: Path, classifier: "Classifier", settings: Settings, preference: "Preference"
) -> "EvaluationReport":
    from app.engines.selection import select_engine  # noqa: PLC0415 - imports torch
    from app.evaluation.evaluator import Evaluator  # noqa: PLC0415
    from app.evaluation.labeled_images import label_files, open_source  # noqa: PLC0415
    from app.evaluation.predictions import Predictions  # noqa: PLC0415
    from app.vision.images import PixelBudget  # noqa: PLC0415

    budget = PixelBudget(settings.max_decoding_pixels)
    choice = select_engine(classifier, replace(settings.engines, preference=preference))
    evaluator = Evaluator(
        classifier, choice, settings.image_limits, budget, settings.decode_threads
    )
    predictions = Predictions()
    with open_source(path, settings.archive_limits) as source:
        labels = label_files(source.names, classifier.card.spec.class_of)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("evaluating", total=len(labels.files))
            for _ in evaluator.run(source, labels, predictions):
                progress.update(task, completed=predictions.seen)
    if not predictions.positions:
        raise EvaluateError(
            f"no image can be used; the first error: {predictions.skipped[0].reason}"
        )
    return evaluator.report(labels, predictions)


def _check_figure(path: Path) -> None:
    from app.evaluation.figure import check  # noqa: PLC0415 - imports matplotlib

    check(path)


def _draw(report: "EvaluationReport", path: Path) -> None:
    from app.evaluation.figure import draw  # noqa: PLC0415

    try:
        draw(report, path)
    except OSError as error:
        raise EvaluateError(f"{path} cannot be written: {error}") from error
