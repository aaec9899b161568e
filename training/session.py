"""One training run from start to end: data, training, test, figures, checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from app.vision import checkpoint
from app.vision.checkpoint import ModelCard, TrainingData
from app.vision.device import choose_device
from app.vision.heap import retain_freed_memory
from app.vision.preprocess import normalize
from training import figures, report
from training.data import Part
from training.examples import Examples, spaced
from training.loop import Trainer
from training.options import Options
from training.progress import line, shown
from training.report import Evaluation
from training.runs import make_folder
from training.seeding import make_repeatable
from training.splits import split
from training.task import Task

_IMAGES_SHOWN = 32


class Session:
    """A prepared run: its data is loaded, and its network is built or resumed.

    Raises:
        AtelierError: the device or the data is missing, a folder cannot be created, or an
            interrupted run is in the way.
    """

    def __init__(self, task: Task, options: Options, console: Console) -> None:
        self._task, self._options, self._console = task, options, console
        self._device = choose_device(options.device)
        make_repeatable(self._device)
        retain_freed_memory()
        self._folder = options.run_folder(task.run_name)
        for folder in (options.models_dir, self._folder.path):
            make_folder(folder)
        self._folder.prepare(resume=options.resume, restart=options.restart)
        self._source = task.find_source(options.data_dir)
        self._data = split(self._source.read(Part.TRAIN, options.limit), options.split_seed)
        lessons = task.lessons(self._data, self._device, self._folder.path, console)
        self._trainer = Trainer(task, lessons, self._device, options.seed)
        if options.resume:
            self._trainer.load_state_dict(self._folder.load(self._identity()))

    def run(self) -> None:
        """Train, test once, draw the figures and save the checkpoint.

        Raises:
            AtelierError: the loss diverged, or the test data is damaged.
        """
        self._say(
            f"{self._source.description}: {len(self._data.train):,} images to train on, "
            f"{len(self._data.validation):,} to validate; device {self._device}"
        )
        self._train()
        network = _rounded(self._task.complete(self._trainer.best()), self._task.storage)
        validation = self._evaluate(network, self._data.validation)
        test = self._evaluate(network, self._source.read(Part.TEST, self._options.limit))
        self._console.print(report.scores_table(f"{self._task.spec.name}, test split", test.scores))
        self._draw(test)
        self._keep(network, self._card(validation, test))
        self._folder.complete()

    def _train(self) -> None:
        identity = self._identity()
        show = partial(line, epochs=self._task.recipe.epochs)
        for done in shown(self._trainer.run(), show, self._console):
            if done.complete:
                self._folder.save(self._trainer.state_dict(), identity)
        self._say(
            f"{self._trainer.epochs_run} epochs in {self._trainer.seconds:.0f} s; "
            f"epoch {self._trainer.best_epoch} had the lowest validation loss"
        )

    def _identity(self) -> dict[str, Any]:
        """Everything that determines the result of the run."""
        return {
            **asdict(self._task.recipe),
            "augmentation": self._task.augment.to_json(),
            "start": self._task.start,
            "seed": self._options.seed,
            "split": self._data.digest,
        }

    def _evaluate(self, network: nn.Module, examples: Examples) -> Evaluation:
        return report.evaluate(network, examples.to(self._device), self._task.spec)

    def _card(self, validation: Evaluation, test: Evaluation) -> ModelCard:
        source, data = self._source.description, self._data
        return ModelCard(
            spec=self._task.spec,
            data=TrainingData(self._task.spec.name, source, data.digest, len(data.train)),
            validation=validation.scores,
            test=test.scores,
            training={
                "recipe": asdict(self._task.recipe),
                "augmentation": self._task.augment.to_json(),
                **self._task.origin,
                "epochs_run": self._trainer.epochs_run,
                "best_epoch": self._trainer.best_epoch,
                "seconds": round(self._trainer.seconds, 1),
                "device": report.device_name(self._device),
                "threads": torch.get_num_threads(),
                "precision": self._trainer.precision,
                "seed": self._options.seed,
                "split_seed": self._options.split_seed,
            },
            versions=report.versions(),
            created_at=report.now(),
        )

    def _draw(self, test: Evaluation) -> None:
        spec, folder, history = self._task.spec, self._folder.path, self._trainer.history
        figures.loss_curves(
            [done.step / self._trainer.steps_per_epoch for done in history],
            [done.training_loss for done in history],
            [done.validation_loss for done in history],
            folder / "loss_curves.png",
        )
        few = self._data.train[:_IMAGES_SHOWN]
        figures.training_images(
            normalize(self._task.augment(few.images), spec.input),
            few.labels,
            spec,
            folder / "training_images.png",
        )
        shown_positions = spaced(len(test.examples), _IMAGES_SHOWN)
        figures.predictions(
            test.examples[shown_positions],
            test.predicted[shown_positions],
            spec.classes,
            folder / "predictions.png",
        )
        figures.confusion_matrix(test.confusion, spec.classes, folder / "confusion_matrix.png")
        figures.channels(few.images[0], folder / "channels.png")

    def _keep(self, network: nn.Module, card: ModelCard) -> None:
        """Save the checkpoint beside the figures, and in the models folder unless it is worse."""
        state, name = _stored(network, self._task.storage), self._task.spec.name
        checkpoint.save(card, state, self._folder.path)
        models = self._options.models_dir
        reason = None if self._options.overwrite else report.reason_to_keep(card, models)
        if reason is None:
            checkpoint.save(card, state, models)
            self._say(f"saved {models / name}.pt and .json; figures are in {self._folder.path}/")
        else:
            self._say(
                f"{models / name}.pt stays as it is: {reason}. This run's checkpoint is in "
                f"{self._folder.path}/; --overwrite would replace the other."
            )

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _rounded(network: nn.Module, storage: torch.dtype) -> nn.Module:
    """Round the weights to their stored precision, so that the stored weights are evaluated."""
    return network.to(storage).to(torch.float32)


def _stored(network: nn.Module, storage: torch.dtype) -> Mapping[str, Tensor]:
    """Return the state_dict with its floating-point values in another type."""
    return {
        name: tensor.to(storage) if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
