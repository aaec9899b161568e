"""How a network is trained, but for the augmentation."""

import math
from dataclasses import dataclass, field

from torch import nn, optim
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

_MOMENTUM = 0.9
_ALMOST_ONE = 1 - 1e-9


@dataclass(frozen=True)
class Recipe:
    """Options of the training loop. Each is also an option of the command line."""

    epochs: int = field(metadata={"help": "length of the schedule"})
    batch_size: int = field(metadata={"help": "images per step"})
    optimizer: str = field(metadata={"help": "adamw, or sgd with Nesterov momentum"})
    learning_rate: float = field(metadata={"help": "peak of the one-cycle schedule"})
    weight_decay: float = field(metadata={"help": "pull of the weights towards zero"})
    warmup: float = field(metadata={"help": "part of the schedule before the peak, 0..1"})
    loss: str = field(metadata={"help": "nll for log-probabilities, cross_entropy for logits"})
    label_smoothing: float = field(metadata={"help": "for cross_entropy, 0..1"})
    averaging_decay: float = field(metadata={"help": "of the averaged weights, per step"})
    patience: int = field(
        metadata={
            "help": "epochs without improvement before an early stop; only those in the "
            "last third of the schedule count"
        }
    )

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.patience) < 1:
            raise ValueError("epochs, batch size and patience must be at least 1")
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; use adamw or sgd")
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
        """Build the loss: float32 (B, K) outputs and int64 (B,) labels -> their mean, in nats."""
        if self.loss == "nll":
            return nn.NLLLoss()
        return nn.CrossEntropyLoss(label_smoothing=self.label_smoothing)

    def build_optimizer(self, network: nn.Module) -> optim.Optimizer:
        """Build the optimizer of all weights of `network`."""
        weights = network.parameters()
        if self.optimizer == "adamw":
            return optim.AdamW(weights, self.learning_rate, weight_decay=self.weight_decay)
        return optim.SGD(
            weights,
            self.learning_rate,
            momentum=_MOMENTUM,
            weight_decay=self.weight_decay,
            nesterov=True,
        )

    def build_schedule(self, optimizer: optim.Optimizer, steps_per_epoch: int) -> LRScheduler:
        """Build the one-cycle schedule: up to the peak and down to almost nothing, once."""
        return OneCycleLR(
            optimizer,
            self.learning_rate,
            total_steps=self.epochs * steps_per_epoch,
            # OneCycleLR divides by zero where the warm-up is exactly one step long
            pct_start=self.warmup * _ALMOST_ONE,
            cycle_momentum=self.optimizer == "sgd",
        )
