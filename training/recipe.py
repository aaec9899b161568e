"""The recipe of a training run, except for the augmentation."""

import math
from dataclasses import dataclass, field

from torch import nn, optim
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

_MOMENTUM = 0.9
_ALMOST_ONE = 1 - 1e-9


@dataclass(frozen=True)
class Recipe:
    """Options of the training loop. Each is also an option of the command line."""

    epochs: int = field(metadata={"help": "length of the schedule"})
    batch_size: int = field(metadata={"help": "images per step"})
    optimizer: str = field(metadata={"help": "adam, adamw, or sgd with Nesterov momentum"})
    schedule: str = field(metadata={"help": "of the learning rate: one_cycle or constant"})
    learning_rate: float = field(metadata={"help": "peak of the schedule"})
    weight_decay: float = field(metadata={"help": "weight decay"})
    warmup: float = field(metadata={"help": "fraction of one_cycle before the peak, 0..1"})
    loss: str = field(metadata={"help": "nll for log-probabilities, cross_entropy for logits"})
    label_smoothing: float = field(metadata={"help": "for cross_entropy, 0..1"})
    averaging_decay: float = field(metadata={"help": "of the averaged weights, per step"})
    patience: int = field(
        metadata={
            "help": "epochs without improvement before an early stop; only those in the "
            "last third of the schedule count"
        }
    )
    print_every: int = field(
        metadata={"help": "steps between two validations; 0: only after each epoch"}
    )

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.patience) < 1:
            raise ValueError("epochs, batch size and patience must be at least 1")
        if self.print_every < 0:
            raise ValueError("the steps between two validations must be at least 0")
        if self.optimizer not in ("adam", "adamw", "sgd"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; use adam, adamw or sgd")
        if self.schedule not in ("one_cycle", "constant"):
            raise ValueError(f"unknown schedule {self.schedule!r}; use one_cycle or constant")
        if self.loss not in ("nll", "cross_entropy"):
            raise ValueError(f"unknown loss {self.loss!r}; use nll or cross_entropy")
        if self.loss == "nll" and self.label_smoothing:
            raise ValueError("label smoothing needs the loss cross_entropy")
        fractions = (self.warmup, self.label_smoothing, self.averaging_decay)
        if not all(0 <= fraction < 1 for fraction in fractions):
            raise ValueError("warmup, label smoothing and averaging decay must be in 0..1")
        if not (0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf):
            raise ValueError("the learning rate must be positive, the weight decay not negative")

    def build_loss(self) -> nn.Module:
        """Build the loss: float32 (B, K) outputs and int64 (B,) labels -> mean loss in nats."""
        if self.loss == "nll":
            return nn.NLLLoss()
        return nn.CrossEntropyLoss(label_smoothing=self.label_smoothing)

    def build_optimizer(self, network: nn.Module) -> optim.Optimizer:
        """Build the optimizer of all weights of `network`."""
        weights = network.parameters()
        if self.optimizer == "sgd":
            return optim.SGD(
                weights,
                self.learning_rate,
                momentum=_MOMENTUM,
                weight_decay=self.weight_decay,
                nesterov=True,
            )
        kind = optim.AdamW if self.optimizer == "adamw" else optim.Adam
        return kind(weights, self.learning_rate, weight_decay=self.weight_decay)

    def build_schedule(self, optimizer: optim.Optimizer, steps_per_epoch: int) -> LRScheduler:
        """Build the learning rate schedule."""
        if self.schedule == "constant":
            return ConstantLR(optimizer, factor=1.0)
        return one_cycle(
            optimizer,
            self.learning_rate,
            self.epochs * steps_per_epoch,
            self.warmup,
            cycle_momentum=self.optimizer == "sgd",
        )


def one_cycle(
    optimizer: optim.Optimizer,
    peak: float,
    steps: int,
    warmup: float,
    *,
    cycle_momentum: bool = False,
) -> LRScheduler:
    """Build a schedule with a warm-up to the peak, which then falls to zero."""
    return OneCycleLR(
        optimizer,
        peak,
        total_steps=steps,
        # OneCycleLR divides by zero if the warm-up has exactly one step
        pct_start=warmup * _ALMOST_ONE,
        cycle_momentum=cycle_momentum,
    )
