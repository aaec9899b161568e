"""The training loop, for any task that classifies.

    Trainer.run()         yields BatchDone after each step and Validated after each epoch (and
                          within it, where the recipe says so), and ends with the schedule or when
                          the patience is exhausted
    Trainer.state_dict()  after a complete epoch, all that another Trainer needs to go on from there
    Trainer.best()        the network as it was when the validation loss was lowest

The validated and saved network has the moving average of the trained weights.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from app.errors import AtelierError
from app.vision.device import supports_bfloat16
from app.vision.preprocess import normalize
from app.vision.scores import score
from app.vision.specs import InputSpec
from training.averaging import AveragedWeights
from training.examples import Examples
from training.seeding import seed_torch
from training.splits import Split
from training.task import Task

_EVALUATION_BATCH = 500
_EVALUATION_VALUES = _EVALUATION_BATCH * 3 * 32 * 32  # larger pictures need as much memory


class DivergedError(AtelierError):
    """The loss is not finite."""


@dataclass(frozen=True)
class BatchDone:
    """An optimizer step: `batch` of `batch_count`, counted from 1."""

    batch: int
    batch_count: int


@dataclass(frozen=True)
class Validated:
    """A validation of the network.

    `epoch` is the current one, `step` the number of optimizer steps since the start; both count
    from 1. `complete` says whether the epoch is. Losses are means in nats, the training loss over
    the steps since the validation before; `accuracy` is 0..1; `improved` says whether the
    validation loss is the lowest so far.
    """

    epoch: int
    step: int
    complete: bool
    training_loss: float
    validation_loss: float
    accuracy: float
    improved: bool


class Trainer:
    """The training of one network on one split of a task's data.

    All randomness of an epoch comes from (seed, epoch), so that on the CPU an interrupted and
    resumed run gives the same weights as an uninterrupted one.
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
        has_pictures = data.train.images.dim() == 4  # on features there is little to compute
        self._bfloat16 = has_pictures and supports_bfloat16(device)
        self._layout = torch.channels_last if self._bfloat16 else torch.contiguous_format
        self._train, self._validation = data.train.to(device), data.validation.to(device)
        self._batch_size = min(recipe.batch_size, len(data.train))
        self.steps_per_epoch = len(data.train) // self._batch_size
        seed_torch(seed, 0)
        self._network = _with_exact_softmax(task.build())
        self._network.to(device).to(memory_format=self._layout)
        self._average = AveragedWeights(self._network, recipe.averaging_decay)
        self._loss = recipe.build_loss()
        self._optimizer = recipe.build_optimizer(self._network)
        self._schedule = recipe.build_schedule(self._optimizer, self.steps_per_epoch)
        self._best: dict[str, Tensor] = {}
        self.history: list[Validated] = []
        self.seconds = 0.0

    @property
    def precision(self) -> str:
        """The dtype of the network's computations during training."""
        return "bfloat16 autocast" if self._bfloat16 else "float32"

    @property
    def epochs_run(self) -> int:
        """The number of complete epochs."""
        return sum(done.complete for done in self.history)

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, counted from 1; 0 before the first."""
        return max((done.epoch for done in self.history if done.improved), default=0)

    @property
    def finished(self) -> bool:
        """Return whether the schedule has ended or the patience is exhausted.

        Patience counts in the last third of the schedule only: before, the learning rate is high
        and a validation loss that rises says little.
        """
        epochs, recipe = self.epochs_run, self._task.recipe
        last_third = math.ceil(recipe.epochs * 2 / 3)
        waited = epochs - max(self.best_epoch, last_third)
        return epochs >= recipe.epochs or waited >= recipe.patience

    def run(self) -> Iterator[BatchDone | Validated]:
        """Train until finished, from the state of `load_state_dict`.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        while not self.finished:
            started = perf_counter()
            for event in self._train_epoch(self.epochs_run + 1):
                if isinstance(event, Validated):
                    self.history.append(event)
                    self.seconds += perf_counter() - started
                    started = perf_counter()
                yield event

    def best(self) -> nn.Module:
        """Return the network with the best weights: on the device, float32, eval."""
        network = self._task.build()
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
        """Continue from the `state_dict` of a Trainer with the same arguments."""
        self._network.load_state_dict(state["network"])
        self._average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._best = dict(state["best"])
        self.history = [Validated(**done) for done in state["history"]]
        self.seconds = float(state["seconds"])

    def _train_epoch(self, epoch: int) -> Iterator[BatchDone | Validated]:
        seed_torch(self._seed, epoch)
        self._network.train()
        order = torch.randperm(len(self._train)).to(self._device)
        losses: list[Tensor] = []
        for batch in range(1, self.steps_per_epoch + 1):
            chosen = order[(batch - 1) * self._batch_size : batch * self._batch_size]
            losses.append(self._step(self._train[chosen]))
            step = (epoch - 1) * self.steps_per_epoch + batch
            self._average.update(self._network, step)
            yield BatchDone(batch, self.steps_per_epoch)
            complete = batch == self.steps_per_epoch
            every = self._task.recipe.print_every
            if complete or (every and step % every == 0):
                training_loss = _finite("training", torch.stack(losses).mean().item(), epoch)
                losses.clear()
                yield self._validate(epoch, step, complete, training_loss)

    def _step(self, batch: Examples) -> Tensor:
        """Make one optimizer step, and return the loss before it."""
        inputs = self._task.varied(batch.images)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            outputs = self._network(inputs.contiguous(memory_format=self._layout))
        loss: Tensor = self._loss(outputs.float(), batch.labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def _validate(self, epoch: int, step: int, complete: bool, training_loss: float) -> Validated:
        outputs = _outputs(self._average.network, self._validation.images, self._task.plain)
        scores = score(outputs, self._validation.labels, self._task.spec.classes)
        _finite("validation", scores.loss, epoch)
        improved = scores.loss < min(
            (done.validation_loss for done in self.history), default=math.inf
        )
        if improved:
            self._best = _detached(self._average.network)
        return Validated(
            epoch, step, complete, training_loss, scores.loss, scores.accuracy, improved
        )


def predict(network: nn.Module, images: Tensor, spec: InputSpec) -> Tensor:
    """Run a network in eval mode on uint8 (N, C, H, W): float32 (N, K), on the images' device."""
    return _outputs(network, images, partial(normalize, spec=spec))


@torch.inference_mode()
def _outputs(network: nn.Module, images: Tensor, prepare: Callable[[Tensor], Tensor]) -> Tensor:
    values_per_image = images[:1].numel()
    batch_size = min(_EVALUATION_BATCH, max(1, _EVALUATION_VALUES // values_per_image))
    batches = torch.split(images, batch_size)
    return torch.cat([network(prepare(batch)).float() for batch in batches])


def _finite(name: str, loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise DivergedError(
            f"the {name} loss became {loss} in epoch {epoch}; lower --learning-rate"
        )
    return loss


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
