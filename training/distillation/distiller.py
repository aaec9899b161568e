"""The distillation loop.

Distiller.run()         yields BatchDone after each step, Compared after some epochs
Distiller.state_dict()  at any event, the state from which another Distiller can continue
Distiller.student()     the network with averaged weights, as last compared
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional
from torchvision.models import densenet121

from app.vision.device import supports_bfloat16
from app.vision.preprocess import normalize
from app.vision.specs import InputSpec
from training.averaging import AveragedWeights
from training.distillation.lessons import Lesson, Lessons
from training.distillation.loss import CLASSES, DistillationLoss
from training.distillation.recipe import Recipe
from training.loop import BatchDone, DivergedError, predict
from training.recipe import one_cycle
from training.seeding import seed_torch

_ORDER, _STEP = 1, 2  # what is random in an epoch, and in a step


@dataclass(frozen=True)
class Compared:
    """A comparison of student and teacher on the validation photographs.

    `epoch` counts from 1, `side_px` is the student's input. Losses are means in nats, the training
    loss over the steps since the comparison before. `agreement` is the fraction, 0..1, for which
    both predict the same of 1000 classes; `accuracy` is the student's accuracy on cats and dogs.
    `improved` says whether the validation loss is the lowest at this size.
    """

    epoch: int
    side_px: int
    training_loss: float
    validation_loss: float
    agreement: float
    accuracy: float
    improved: bool


class Distiller:
    """The distillation of one student.

    All randomness comes from the seed and the number of the epoch or step, so that on the CPU an
    interrupted and resumed run gives the same result as an uninterrupted one.
    """

    def __init__(
        self,
        recipe: Recipe,
        lessons: Lessons,
        validation: Lesson,
        spec: InputSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        """Start with random weights.

        Args:
            recipe: the recipe.
            lessons: one or more lessons of equal length, used in turn.
            validation: photographs for the comparisons.
            spec: the normalization of the student's input; its size is not used.
            device: the device.
            seed: the seed of weights, order and flips.
        """
        self._recipe, self._lessons, self._spec = recipe, lessons, spec
        self._device, self._seed = device, seed
        self._validation = validation.to(device)
        self._bfloat16 = supports_bfloat16(device)
        self._layout = torch.channels_last if self._bfloat16 else torch.contiguous_format
        seed_torch(seed)
        self._network: nn.Module = densenet121(num_classes=CLASSES + 1)
        self._network.to(device).to(memory_format=self._layout).train()
        self._average = AveragedWeights(self._network, recipe.averaging_decay)
        self._loss = DistillationLoss(recipe.temperature, recipe.label_weight)
        views = len(lessons[0])
        self._batch_size = min(recipe.batch_size, views)
        self._steps_per_epoch = views // self._batch_size
        self._optimizer = optim.AdamW(
            self._network.parameters(),
            recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self._schedule = one_cycle(
            self._optimizer,
            recipe.learning_rate,
            recipe.epoch_count * self._steps_per_epoch,
            recipe.warmup,
        )
        self._step = 0
        self._losses: list[float] = []
        self.history: list[Compared] = []
        self.seconds = 0.0

    @property
    def precision(self) -> str:
        """The dtype of the student's computations during the distillation."""
        return "bfloat16 autocast" if self._bfloat16 else "float32"

    def run(self) -> Iterator[BatchDone | Compared]:
        """Run to the end of the recipe, from the state of `load_state_dict`.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        while self._step < self._recipe.epoch_count * self._steps_per_epoch:
            started = perf_counter()
            for event in self._epoch(1 + self._step // self._steps_per_epoch):
                self.seconds += perf_counter() - started
                yield event
                started = perf_counter()

    def backbone(self) -> dict[str, Tensor]:
        """Return the averaged weights, float32, without the output for cats and dogs."""
        state = self._average.network.state_dict()
        classifier = {
            name: state[name][:CLASSES] for name in ("classifier.weight", "classifier.bias")
        }
        return {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in (state | classifier).items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for `torch.save`."""
        return {
            "network": self._network.state_dict(),
            "average": self._average.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "step": self._step,
            "losses": self._losses,
            "history": [asdict(done) for done in self.history],
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the `state_dict` of a Distiller with the same arguments."""
        self._network.load_state_dict(state["network"])
        self._average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._step = int(state["step"])
        self._losses = list(state["losses"])
        self.history = [Compared(**done) for done in state["history"]]
        self.seconds = float(state["seconds"])

    def _epoch(self, epoch: int) -> Iterator[BatchDone | Compared]:
        """Run the rest of an epoch."""
        lesson = self._lessons[(epoch - 1) % len(self._lessons)].to(self._device)
        seed_torch(self._seed, _ORDER, epoch)
        order = torch.randperm(len(lesson)).to(self._device)
        while True:
            batch = self._step % self._steps_per_epoch
            chosen = order[batch * self._batch_size : (batch + 1) * self._batch_size]
            self._teach(lesson, chosen, self._recipe.side_px(epoch))
            last = batch + 1 == self._steps_per_epoch
            # before the batch is reported, so that no state lies between the two
            if last and self._recipe.compares_after(epoch):
                yield self._compare(epoch)
            yield BatchDone(batch + 1, self._steps_per_epoch)
            if last:
                return

    def _teach(self, lesson: Lesson, chosen: Tensor, side_px: int) -> None:
        """Make one optimizer step."""
        seed_torch(self._seed, _STEP, self._step)
        images = resized(flipped(lesson.images[chosen]), side_px)
        inputs = normalize(images, self._spec).contiguous(memory_format=self._layout)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            outputs = self._network(inputs)
        loss: Tensor = self._loss(
            outputs.float(), lesson.logits[chosen].float(), lesson.dog[chosen]
        )
        self._losses.append(_finite(loss.item(), f"in step {self._step + 1}"))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        self._step += 1
        self._average.update(self._network, self._step)

    def _compare(self, epoch: int) -> Compared:
        side_px, known = self._recipe.side_px(epoch), self._validation
        teacher = known.logits.float()
        outputs = predict(self._average.network, resized(known.images, side_px), self._spec)
        loss: float = self._loss(outputs, teacher, known.dog).item()
        validation_loss = _finite(loss, f"before epoch {epoch}")
        training_loss = sum(self._losses) / len(self._losses)
        self._losses.clear()
        before = [done.validation_loss for done in self.history if done.side_px == side_px]
        compared = Compared(
            epoch,
            side_px,
            training_loss,
            validation_loss,
            agreement=_mean(outputs[:, :CLASSES].argmax(dim=1) == teacher.argmax(dim=1)),
            accuracy=_mean((outputs[:, CLASSES] > 0) == (known.dog > 0.5)),
            improved=validation_loss < min(before, default=math.inf),
        )
        self.history.append(compared)
        return compared


def resized(images: Tensor, side_px: int) -> Tensor:
    """Resize uint8 (B, C, H, W) to float32 (B, C, side, side), 0..255 both."""
    return functional.interpolate(
        images.float(), (side_px, side_px), mode="bilinear", antialias=True
    )


def flipped(images: Tensor) -> Tensor:
    """Flip a random half of the images (B, C, H, W)."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


def _finite(loss: float, when: str) -> float:
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss diverged {when}; lower --learning-rate and start again with --restart"
        )
    return loss


def _mean(flags: Tensor) -> float:
    return flags.float().mean().item()
