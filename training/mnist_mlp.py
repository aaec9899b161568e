"""Training of the MNIST multilayer perceptron: python -m training.mnist_mlp."""

import sys

from app.vision.specs import MNIST
from training.augment import Warp
from training.cli import main
from training.data import find_mnist
from training.recipe import Recipe
from training.task import Task

TASK = Task(
    spec=MNIST,
    find_source=find_mnist,
    recipe=Recipe(
        epochs=100,
        batch_size=128,
        optimizer="adamw",
        schedule="one_cycle",
        learning_rate=2e-3,
        weight_decay=0.01,
        warmup=0.2,
        loss="nll",
        label_smoothing=0.0,
        averaging_decay=0.999,
        patience=15,
        print_every=0,
    ),
    augment=Warp(
        rotation_deg=10,
        shear_deg=8,
        scale=0.1,
        shift_px=1.5,
        elastic_strength_px=15,
        elastic_smoothness_px=4,
    ),
)

if __name__ == "__main__":
    sys.exit(main(TASK, "training.mnist_mlp"))
