"""Shows a training run on the terminal while it runs."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.loop import BatchDone, EpochDone


def shown(
    events: Iterable[BatchDone | EpochDone], epochs: int, console: Console
) -> Iterator[EpochDone]:
    """Draw a bar for the epoch at work and a line for each one done; pass the latter on."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        bar = progress.add_task("training", total=None)
        for event in events:
            if isinstance(event, BatchDone):
                progress.update(bar, completed=event.batch, total=event.batch_count)
            else:
                console.print(_line(event, epochs), highlight=False, soft_wrap=True)
                progress.reset(bar, total=None)
                yield event


def _line(done: EpochDone, epochs: int) -> str:
    mark = "  [green]best[/green]" if done.improved else ""
    return (
        f"epoch {done.epoch}/{epochs}  training loss {done.training_loss:.4f}  "
        f"validation loss {done.validation_loss:.4f}  accuracy {done.accuracy:.2%}{mark}"
    )
