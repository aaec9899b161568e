"""Charts shared by training and evaluation, drawn into matplotlib axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_confusion(axes: "Axes", counts: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Draw K x K counts, rows true and columns predicted, shaded within each row."""
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, columns in enumerate(counts):
        for column, count in enumerate(columns):
            text_color = "white" if shares[row][column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=text_color)
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=45, ha="right")
    axes.set_yticks(ticks, classes)
    axes.set(xlabel="predicted", ylabel="true")
