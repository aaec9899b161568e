"""`python -m app classify IMAGE...`: the same as `POST /classify`, without a server."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.commands.common import SettingsError, add_device, add_model, load_classifier, read_settings
from app.errors import AtelierError
from app.settings import Settings

if TYPE_CHECKING:
    from app.vision.classifier import Classifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    add_model(parser)
    add_device(parser)
    parser.add_argument(
        "--top-k", type=int, default=5, help="number of classes to show (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Classify every image; return 1 if one of them cannot be used."""
    if options.top_k < 1:
        raise SettingsError("--top-k must be at least 1")
    settings = read_settings(device=options.device)
    classifier = load_classifier(options.model, settings)
    results = [_classify(path, classifier, options.top_k, settings) for path in options.images]
    if options.json:
        answer = {"model": _reference(classifier), "results": results}
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(results, classifier)
    return int(any("error" in result for result in results))


def _classify(
    path: Path, classifier: "Classifier", top_k: int, settings: Settings
) -> dict[str, Any]:
    from app.vision.images import read_header  # noqa: PLC0415

    limits = settings.image_limits
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
        image = read_header(data, limits).decode()
    except (OSError, AtelierError) as error:
        return {"filename": str(path), "error": str(error)}
    probabilities = classifier.probabilities([classifier.preprocess(image)])[0]
    predictions = [vars(prediction) for prediction in classifier.top_k(probabilities, top_k)]
    return {"filename": str(path), "predictions": predictions}


def _reference(classifier: "Classifier") -> dict[str, str]:
    return {"name": classifier.card.spec.name, "version": classifier.card.version}


def _show(results: list[dict[str, Any]], classifier: "Classifier") -> None:
    name, version = _reference(classifier).values()
    table = Table("image", "label", "probability", caption=f"{name} {version}")
    for result in results:
        for rank, prediction in enumerate(result.get("predictions", ())):
            shown = escape(result["filename"]) if rank == 0 else ""
            table.add_row(shown, prediction["label"], f"{prediction['probability']:.4f}")
        table.add_section()
    Console().print(table)
    for result in results:
        if "error" in result:
            sys.stderr.write(f"{result['filename']}: {result['error']}\n")
