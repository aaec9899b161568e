"""The training loop, for any network that classifies images.

    Trainer.run()         yields BatchDone after each step and EpochDone after each epoch, and ends
                          with the schedule or when the patience is exhausted
    Trainer.state_dict()  after an EpochDone, all that another Trainer needs to go on from there
    Trainer.best()        the network of the epoch with the lowest validation loss

What is validated and kept is not the network in training but the moving average of its weights.
"""

import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from app.vision.device import supports_bfloat16
from app.vision.errors import AtelierError
from app.vision.evaluation import score
from app.vision.preprocess import normalise
from app.vision.specs import InputSpec
from training.averaging import AveragedWeights
from training.examples import Examples
from training.splits import Split
from training.task import Task

_EVALUATION_BATCH = 500


class DivergedError(AtelierError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class BatchDone:
    """One optimizer step was made: `batch` of `batch_count`, counted from 1."""

    batch: int
    batch_count: int


@dataclass(frozen=True)
class EpochDone:
    """One epoch was trained and validated.

    `epoch` counts from 1; losses are means in nats, `accuracy` is 0..1; `improved` says whether
    the validation loss is the lowest so far.
    """

    epoch: int
    training_loss: float
    validation_loss: float
    accuracy: float
    improved: bool


class Trainer:
    """Trains one network on one split.

    Everything random in an epoch comes from (seed, epoch), so that a run which was interrupted and
    resumed ends, on the CPU, with the very weights of one which was not.
    """

    def __init__(
        self,
        task: Task,
        data: Split,
        device: torch.device,
        seed: int,
    ) -> None:
        recipe = task.recipe
        self._task, self._device, self._seed = task, device, seed
        self._bfloat16 = supports_bfloat16(device)
        self._layout = torch.channels_last if self._bfloat16 else torch.contiguous_format
        self._train, self._validation = data.train.to(device), data.validation.to(device)
        self._batch_size = min(recipe.batch_size, len(data.train))
        self._steps_per_epoch = len(data.train) // self._batch_size
        _seed_torch(seed, 0)
        self._network = _with_exact_softmax(task.spec.build())
        self._network.to(device).to(memory_format=self._layout)
        self._average = AveragedWeights(self._network, recipe.averaging_decay)
        self._loss = recipe.build_loss()
        self._optimizer = recipe.build_optimizer(self._network)
        self._schedule = recipe.build_schedule(self._optimizer, self._steps_per_epoch)
        self._best: dict[str, Tensor] = {}
        self.history: list[EpochDone] = []
        self.seconds = 0.0

    @property
    def precision(self) -> str:
        """What the network was multiplied in while it was trained."""
        return "bfloat16 autocast" if self._bfloat16 else "float32"

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, counted from 1; 0 before the first."""
        return max((done.epoch for done in self.history if done.improved), default=0)

    @property
    def finished(self) -> bool:
        """Whether the schedule is at its end or the patience is exhausted.

        Patience counts in the last third of the schedule only: before, the learning rate is high
        and a validation loss that rises says little.
        """
        epochs = len(self.history)
        last_third = math.ceil(self._task.recipe.epochs * 2 / 3)
        waited = epochs - max(self.best_epoch, last_third)
        return epochs >= self._task.recipe.epochs or waited >= self._task.recipe.patience

    def run(self) -> Iterator[BatchDone | EpochDone]:
        """Train until finished, from wherever `load_state_dict` left off.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        while not self.finished:
            epoch = len(self.history) + 1
            started = perf_counter()
            training_loss = yield from self._train_epoch(epoch)
            validated = self._validate(epoch, training_loss)
            self.seconds += perf_counter() - started
            self.history.append(validated)
            yield validated

    def best(self) -> nn.Module:
        """Return the network with the weights of the best epoch: on the device, float32, eval."""
        network = self._task.spec.build()
        network.load_state_dict(self._best)
        return network.to(self._device).eval().requires_grad_(False)

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state after the last complete epoch, for `torch.save`."""
        return {
            "network": self._network.state_dict(),
            "average": self._average.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": self._best,
            "history": [asdict(done) for done in self.history],
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned to a Trainer with the same arguments."""
        self._network.load_state_dict(state["network"])
        self._average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._best = dict(state["best"])
        self.history = [EpochDone(**done) for done in state["history"]]
        self.seconds = float(state["seconds"])

    def _train_epoch(self, epoch: int) -> Generator[BatchDone, None, float]:
        _seed_torch(self._seed, epoch)
        self._network.train()
        order = torch.randperm(len(self._train)).to(self._device)
        total = torch.zeros((), device=self._device)
        for batch in range(self._steps_per_epoch):
            chosen = order[batch * self._batch_size : (batch + 1) * self._batch_size]
            total += self._step(self._train[chosen])
            step = (epoch - 1) * self._steps_per_epoch + batch + 1
            self._average.update(self._network, step)
            yield BatchDone(batch + 1, self._steps_per_epoch)
        return _finite("training", total.item() / self._steps_per_epoch, epoch)

    def _step(self, batch: Examples) -> Tensor:
        """Make one optimizer step; returns the loss before it."""
        images = normalise(self._task.augment(batch.images), self._task.spec.input)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            outputs = self._network(images.contiguous(memory_format=self._layout))
        loss: Tensor = self._loss(outputs.float(), batch.labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def _validate(self, epoch: int, training_loss: float) -> EpochDone:
        task = self._task
        outputs = predict(self._average.network, self._validation.images, task.spec.input)
        scores = score(outputs, self._validation.labels, task.spec.classes)
        _finite("validation", scores.loss, epoch)
        improved = scores.loss < min(
            (done.validation_loss for done in self.history), default=math.inf
        )
        if improved:
            self._best = _detached(self._average.network)
        return EpochDone(epoch, training_loss, scores.loss, scores.accuracy, improved)


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, spec: InputSpec) -> Tensor:
    """Run a network in eval mode on uint8 (N, C, H, W): float32 (N, K), on the images' device."""
    batches = torch.split(images, _EVALUATION_BATCH)
    return torch.cat([network(normalise(batch, spec)).float() for batch in batches])


def _finite(name: str, loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise DivergedError(
            f"the {name} loss became {loss} in epoch {epoch}; lower --learning-rate"
        )
    return loss


def _seed_torch(seed: int, epoch: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]))


def _with_exact_softmax(network: nn.Module) -> nn.Module:
    """Let log-softmax layers run in float32: 8 bits are too few for log-probabilities."""
    for module in network.modules():
        if isinstance(module, nn.LogSoftmax):
            module.register_forward_pre_hook(lambda _, inputs: tuple(x.float() for x in inputs))
    return network


def _detached(network: nn.Module) -> dict[str, Tensor]:
    """Copy a state_dict: on the CPU, in the default memory layout."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
