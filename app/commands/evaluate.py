"""`python -m app evaluate FOLDER_OR_ZIP`: the same as `POST /evaluate`, without a server."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from app.commands.models import load_classifier
from app.commands.options import read_settings
from app.settings import Settings
from app.vision.errors import AtelierError

if TYPE_CHECKING:
    from app.evaluation.report import Report
    from app.vision.classifier import Classifier

_SKIPPED_SHOWN = 5


class EvaluateError(AtelierError):
    """There is nothing to evaluate on, or nowhere to write."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("path", type=Path, metavar="FOLDER_OR_ZIP")
    parser.add_argument("--model", help="default: ATELIER_DEFAULT_MODEL, else the first available")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N (default: ATELIER_DEVICE)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw the report, as PNG, PDF or SVG"
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate a model on labelled images; a class is a folder of its name."""
    if not options.path.exists():
        raise EvaluateError(f"there is no {options.path}")
    settings = read_settings(device=options.device)
    classifier = load_classifier(options.model, settings)
    report = _evaluate(options.path, classifier, settings)
    if options.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        _show(report)
    if options.figure:
        _draw(report, options.figure)
    return 0


def _evaluate(path: Path, classifier: "Classifier", settings: Settings) -> "Report":
    from app.evaluation.answers import Answers  # noqa: PLC0415 - imports torch
    from app.evaluation.evaluator import Evaluator  # noqa: PLC0415
    from app.evaluation.labelled import label, open_source  # noqa: PLC0415
    from app.evaluation.sources import ArchiveLimits  # noqa: PLC0415
    from app.vision.images import ImageLimits, PixelBudget  # noqa: PLC0415

    limits = ArchiveLimits(settings.max_archive_bytes, settings.max_archive_entries)
    image_limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
    budget = PixelBudget(settings.max_decoding_pixels)
    evaluator = Evaluator(classifier, image_limits, budget, settings.decode_threads)
    answers = Answers()
    with open_source(path, limits) as source:
        labels = label(source.names, classifier.card.spec.class_of)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("evaluating", total=len(labels.files))
            for _ in evaluator.run(source, labels, answers):
                progress.update(task, completed=answers.seen)
    if not answers.positions:
        raise EvaluateError(f"no image can be used; the first: {answers.skipped[0].reason}")
    return evaluator.report(labels, answers)


def _show(report: "Report") -> None:
    console = Console(highlight=False)
    low, high = report.accuracy_interval
    table = Table("class", show_footer=True, caption=f"{' '.join(report.model.values())}")
    table.columns[0].footer = "all"
    for name, footer in (
        ("precision", ""),
        ("recall", f"{report.accuracy:.2%}"),
        ("F1", ""),
        ("images", f"{report.n:,}"),
    ):
        table.add_column(name, footer=footer, justify="right")
    for each in report.classes:
        scores = (each.precision, each.recall, each.f1)
        shown = ("-" if score is None else f"{score:.2%}" for score in scores)
        table.add_row(each.label, *shown, f"{each.support:,}")
    console.print(table)
    console.print(
        f"accuracy {report.accuracy:.2%} (95 %: {low:.2%} to {high:.2%}), loss {report.loss:.4f}, "
        f"calibration error {report.calibration.ece:.4f}, {report.images_per_s:,.0f} images/s"
    )
    _show_skipped(report, console)


def _show_skipped(report: "Report", console: Console) -> None:
    if not report.skipped_count:
        return
    console.print(f"{report.skipped_count:,} files skipped:")
    for each in report.skipped[:_SKIPPED_SHOWN]:
        console.print(f"  {escape(each.filename)}: {escape(each.reason)}", soft_wrap=True)
    if report.skipped_count > _SKIPPED_SHOWN:
        console.print("  ... (all with --json)")


def _draw(report: "Report", path: Path) -> None:
    from app.evaluation.figure import draw  # noqa: PLC0415 - imports matplotlib

    try:
        draw(report, path)
    except (OSError, ValueError) as error:
        raise EvaluateError(f"{path} cannot be written: {error}") from error
