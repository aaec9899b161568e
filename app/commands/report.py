"""Printing of evaluation reports in the terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from app.evaluation.report import EvaluationReport

_FILES_SHOWN = 5
_MOST_COLUMNS = 20


def show(report: "EvaluationReport", console: Console) -> None:
    """Print classes, confusion matrix, summary, worst mistakes and skipped files."""
    console.print(_classes(report))
    if len(report.classes) <= _MOST_COLUMNS:
        console.print(_confusion(report))
    console.print(_summary(report))
    _show_mistakes(report, console)
    _show_skipped(report, console)


def _classes(report: "EvaluationReport") -> Table:
    table = Table("class", show_footer=True, caption=" ".join(report.model.values()))
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
        table.add_row(_plain(each.label), *shown, f"{each.support:,}")
    return table


def _confusion(report: "EvaluationReport") -> Table:
    matrix = report.confusion_matrix
    table = Table("true / predicted", caption="confusion matrix")
    for label in matrix.labels:
        table.add_column(_plain(label), justify="right")
    for label, counts in zip(matrix.labels, matrix.counts, strict=True):
        table.add_row(_plain(label), *(f"{count:,}" if count else "" for count in counts))
    return table


def _summary(report: "EvaluationReport") -> str:
    low, high = report.accuracy_interval
    others = [f", top {k} {part:.2%}" for k, part in report.top_k_accuracy.items() if k != "1"]
    return (
        f"accuracy {report.accuracy:.2%} (95 %: {low:.2%} to {high:.2%}){''.join(others)}, loss "
        f"{report.loss:.4f}, calibration error {report.calibration.ece:.4f}, "
        f"{report.images_per_s:,.0f} images/s"
    )


def _show_mistakes(report: "EvaluationReport", console: Console) -> None:
    for each in report.worst_mistakes[:_FILES_SHOWN]:
        console.print(
            f"  {_plain(each.filename)}: {_plain(each.predicted)} "
            f"({each.predicted_probability:.2%}), but {_plain(each.label)}",
            soft_wrap=True,
        )


def _show_skipped(report: "EvaluationReport", console: Console) -> None:
    for folder, count in report.unknown_folders.items():
        console.print(f"{count:,} files in {escape(repr(folder))}, which is not a class")
    more = report.unknown_folder_count - len(report.unknown_folders)
    if more:
        console.print(f"  ... and {more:,} more folders that are not classes")
    if not report.skipped_count:
        return
    console.print(f"{report.skipped_count:,} files skipped:")
    for skipped in report.skipped[:_FILES_SHOWN]:
        console.print(f"  {_plain(skipped.filename)}: {_plain(skipped.reason)}", soft_wrap=True)
    if report.skipped_count > _FILES_SHOWN:
        console.print(f"  ... ({len(report.skipped):,} of them with --json)")


def _plain(text: str) -> str:
    """Escape control sequences of the terminal and of rich in a name from an archive."""
    return escape("".join(each if each.isprintable() else ascii(each)[1:-1] for each in text))
