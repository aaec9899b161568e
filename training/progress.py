"""Progress of a training run in the terminal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.loop import BatchDone, Validated

Done = TypeVar("Done")
Item = TypeVar("Item")


def shown(
    events: Iterable[BatchDone | Done], show: Callable[[Done], str], console: Console
) -> Iterator[Done]:
    """Show a progress bar for the epoch and a line for other events, which are passed on."""
    with _bars(console) as progress:
        bar = progress.add_task("training", total=None)
        for event in events:
            if isinstance(event, BatchDone):
                progress.update(bar, completed=event.batch, total=event.batch_count)
            else:
                console.print(show(event), highlight=False, soft_wrap=True)
                progress.reset(bar, total=None)
                yield event


def tracked(items: Sequence[Item], description: str, console: Console) -> Iterator[Item]:
    """Show a progress bar over the items."""
    with _bars(console) as progress:
        yield from progress.track(items, description=description)


def line(done: Validated, epochs: int) -> str:
    """Describe a validation, with rich's markup."""
    step = "" if done.complete else f"  step {done.step}"
    mark = "  [green]best[/green]" if done.improved else ""
    return (
        f"epoch {done.epoch}/{epochs}{step}  training loss {done.training_loss:.4f}  "
        f"validation loss {done.validation_loss:.4f}  accuracy {done.accuracy:.2%}{mark}"
    )


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=hidden)
