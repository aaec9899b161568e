"""One distillation from start to end: photographs, lessons, teaching, backbone."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from rich.console import Console
from torch import Tensor

from app.files import atomic_write
from app.vision.device import choose_device
from app.vision.heap import retain_freed_memory
from app.vision.specs import CATDOG
from training import figures, report
from training.data import Part, read_catdog_photographs
from training.distillation.distiller import Compared, Distiller
from training.distillation.lessons import KeptLessons, digest, discard_lessons, lessons_folder
from training.distillation.recipe import Recipe
from training.distillation.teacher import PACKAGES, Teacher
from training.progress import shown
from training.runs import RunError, RunFolder, make_folder
from training.seeding import make_repeatable
from training.splits import positions

_NAME = "densenet121"

Event = TypeVar("Event")


@dataclass(frozen=True)
class Options:
    """Options of a distillation: folders, and how it starts.

    `limit` is the number of photographs that are read; None is all.
    """

    data_dir: Path
    runs_dir: Path
    device: str
    seed: int
    split_seed: int
    limit: int | None
    save_every_s: float
    restart: bool
    overwrite: bool

    @property
    def folder(self) -> RunFolder:
        """The folder in which the run keeps its files."""
        return RunFolder(self.runs_dir / _NAME)


class Session:
    """A distillation, begun or resumed.

    Raises:
        AtelierError: the device or the data are not there, the folder cannot be made, an
            interrupted run had other options, or a finished backbone is in the way.
    """

    def __init__(self, recipe: Recipe, options: Options, console: Console) -> None:
        self._recipe, self._options, self._console = recipe, options, console
        self._device = choose_device(options.device)
        make_repeatable(self._device)
        retain_freed_memory()
        self._folder = options.folder
        make_folder(self._folder.path)
        if self._is_finished() and not options.overwrite:
            raise RunError(
                f"{self._weights} is finished; replace it by --overwrite, "
                "or give another --runs-dir"
            )
        if options.restart:
            self._folder.complete()
        self._lessons = train, validation = self._read()
        if options.restart:
            discard_lessons(self._folder.path, except_for=(train.name, validation.name))
        self._train_count = train.photograph_count
        self._validation_count = validation.photograph_count
        state = self._folder.load(self._identity()) if self._folder.interrupted else None
        spec = CATDOG.input.sized(recipe.view_px)
        self._distiller = Distiller(
            recipe, train, validation.plain(spec), spec, self._device, options.seed
        )
        if state is not None:
            self._distiller.load_state_dict(state)

    def run(self) -> None:
        """Teach to the end; the backbone is written each time that it has become better.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        self._say(
            f"{self._train_count:,} photographs to learn from, {self._validation_count:,} to "
            f"validate; device {self._device}"
        )
        show = partial(_line, epochs=self._recipe.epoch_count)
        for done in shown(self._saved(self._distiller.run()), show, self._console):
            if done.improved:
                self._write()
        self._draw()
        self._folder.complete()
        discard_lessons(self._folder.path)
        self._say(f"the backbone is {self._weights}")

    @property
    def _weights(self) -> Path:
        return self._folder.path / f"{_NAME}.pt"

    def _is_finished(self) -> bool:
        return self._weights.exists() and not self._folder.interrupted

    def _read(self) -> tuple[KeptLessons, KeptLessons]:
        """Lessons on the photographs to train on, and on those to validate on."""
        options, recipe = self._options, self._recipe
        images, labels = read_catdog_photographs(options.data_dir, Part.TRAIN, options.limit)
        dog = (labels == CATDOG.classes.index("dog")).float()
        teacher = Teacher(recipe.teacher_px, self._device)

        def lessons(chosen: Tensor) -> KeptLessons:
            photographs = [images[index] for index in chosen.tolist()]
            known = digest(photographs, dog[chosen])
            folder = lessons_folder(self._folder.path, recipe, options.seed, known)
            return KeptLessons(photographs, dog[chosen], teacher, recipe, options.seed, folder)

        train, validation = positions(len(images), options.split_seed)
        return lessons(train), lessons(validation)

    def _saved(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass events on, and save the state from time to time."""
        saved_at = perf_counter()
        for event in events:
            yield event
            if perf_counter() - saved_at >= self._options.save_every_s:
                self._folder.save(self._distiller.state_dict(), self._identity())
                saved_at = perf_counter()

    def _identity(self) -> dict[str, Any]:
        """Everything that decides the result."""
        return {
            **asdict(self._recipe),
            "seed": self._options.seed,
            "split_seed": self._options.split_seed,
            "photographs": self._lessons[0].name,
        }

    def _write(self) -> None:
        """Write the student, with a description beside it."""
        buffer = io.BytesIO()
        torch.save(self._distiller.backbone(), buffer)
        card = {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), **self._card()}
        sidecar = self._weights.with_suffix(".json")
        with atomic_write(self._weights) as weights, atomic_write(sidecar) as description:
            weights.write(buffer.getvalue())
            description.write(json.dumps(card, indent=2).encode() + b"\n")

    def _card(self) -> dict[str, Any]:
        return {
            "made_by": "knowledge distillation from EfficientNet-Lite0 (ImageNet weights)",
            "photographs": self._train_count,
            "split_seed": self._options.split_seed,
            "seed": self._options.seed,
            "recipe": asdict(self._recipe),
            "validation": asdict(self._distiller.history[-1]),
            "seconds": round(self._distiller.seconds),
            "device": report.device_name(self._device),
            "threads": torch.get_num_threads(),
            "precision": self._distiller.precision,
            "versions": report.versions(*PACKAGES),
            "created_at": report.now(),
        }

    def _draw(self) -> None:
        history = self._distiller.history
        figures.loss_curves(
            [done.epoch for done in history],
            [done.training_loss for done in history],
            [done.validation_loss for done in history],
            self._folder.path / "loss_curves.png",
        )

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _line(done: Compared, epochs: int) -> str:
    mark = "  [green]best[/green]" if done.improved else ""
    return (
        f"epoch {done.epoch}/{epochs}  {done.side_px} px  training loss {done.training_loss:.4f}  "
        f"validation loss {done.validation_loss:.4f}  agreement {done.agreement:.2%}  "
        f"accuracy {done.accuracy:.2%}{mark}"
    )
