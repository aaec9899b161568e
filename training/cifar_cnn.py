"""Training of the CIFAR-10 convolutional network: python -m training.cifar_cnn."""

import sys

from app.vision.specs import CIFAR10
from training.augment import ShiftAndFlip
from training.cli import main
from training.data import find_cifar10
from training.recipe import Recipe
from training.task import Task

TASK = Task(
    spec=CIFAR10,
    find_source=find_cifar10,
    recipe=Recipe(
        epochs=220,
        batch_size=128,
        optimizer="sgd",
        schedule="one_cycle",
        learning_rate=0.05,
        weight_decay=5e-4,
        warmup=0.15,
        loss="cross_entropy",
        label_smoothing=0.0,
        averaging_decay=0.999,
        patience=25,
        print_every=0,
    ),
    augment=ShiftAndFlip(shift_px=4),
)

if __name__ == "__main__":
    sys.exit(main(TASK, "training.cifar_cnn"))
