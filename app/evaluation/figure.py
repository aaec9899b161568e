"""Figure with the confusion matrix and the reliability diagram of a report."""

from pathlib import Path

from app.errors import AtelierError
from app.evaluation.report import ConfidenceCalibration, EvaluationReport
from app.vision.charts import draw_confusion

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise AtelierError(
        "Figures need matplotlib. Install it with: pip install -e '.[train]'"
    ) from error

_CELL_IN = 0.7
_FORMATS = (".pdf", ".png", ".svg")


def check(path: Path) -> None:
    """Check early that a figure can be written to a file.

    Raises:
        AtelierError: the format is not supported or the folder does not exist.
    """
    if path.suffix.lower() not in _FORMATS:
        raise AtelierError(f"{path} cannot be written: its name must end in {', '.join(_FORMATS)}.")
    if not path.parent.is_dir():
        raise AtelierError(f"{path} cannot be written: there is no folder {path.parent}.")


def draw(report: EvaluationReport, path: Path) -> None:
    """Draw a report into a file, in the format of its suffix.

    Raises:
        OSError: the file cannot be written.
    """
    side_in = 2 + _CELL_IN * len(report.confusion_matrix.labels)
    figure = Figure(figsize=(side_in + 6, max(side_in, 5)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(side_in, 6))
    draw_confusion(left, report.confusion_matrix.counts, report.confusion_matrix.labels)
    left.set_title(f"{report.model['name']}: {report.accuracy:.2%} of {report.n:,}")
    _draw_reliability(right, report.calibration)
    figure.savefig(path, bbox_inches="tight")


def _draw_reliability(axes: Axes, calibration: ConfidenceCalibration) -> None:
    """Draw accuracy over confidence, with the diagonal of perfect calibration."""
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    known = [each for each in calibration.bins if each.accuracy is not None]
    most = max(each.count for each in known)
    for each in known:
        axes.bar(
            each.low,
            each.accuracy or 0,
            width=each.high - each.low,
            align="edge",
            color="tab:blue",
            alpha=0.25 + 0.75 * each.count / most,
            edgecolor="white",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
    axes.set_title(f"expected calibration error {calibration.ece:.4f}")
