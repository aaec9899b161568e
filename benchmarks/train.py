"""Measures one epoch of this program's training loop beside the usual one.

The usual loop, as most tutorials have it: a DataLoader with batches of 20, each image opened by
Pillow and transformed by torchvision on its own, plain SGD in float32. Both train the same network
on the same images with the same kind of augmentation and validate once. They take turns, so that
whatever else the host does concerns both.

    python benchmarks/train.py --data-dir data
"""

import argparse
import os
import statistics
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from app.vision.device import choose_device
from app.vision.specs import InputSpec
from training import cifar_cnn, mnist_mlp
from training.data import Part
from training.examples import Examples
from training.loop import Trainer
from training.splits import Split, split
from training.task import Task

_USUAL_BATCH = 20
_USUAL_LEARNING_RATE = 0.01
_USUAL_AUGMENTATION = {
    "mnist": [transforms.RandomAffine(degrees=10, translate=(0.05, 0.05), scale=(0.9, 1.1))],
    "cifar10": [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()],
}


class PerImage(Dataset[tuple[Tensor, int]]):
    """Images transformed one by one, as torchvision's own data sets do it."""

    def __init__(self, examples: Examples, transform: transforms.Compose) -> None:
        self._pixels = examples.images.permute(0, 2, 3, 1).squeeze(3).numpy()  # (N, H, W[, C])
        self._labels = examples.labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image: Tensor = self._transform(Image.fromarray(self._pixels[index]))
        return image, self._labels[index]


def usual_epoch(task: Task, data: Split, device: torch.device) -> float:
    """Train and validate for one epoch in the usual way; returns the seconds it took."""
    network = task.spec.build().to(device)
    loss = task.recipe.build_loss()
    optimizer = torch.optim.SGD(network.parameters(), _USUAL_LEARNING_RATE)
    to_tensor = _to_tensor(task.spec.input)
    varied = transforms.Compose([*_USUAL_AUGMENTATION[task.spec.name], *to_tensor])
    started = perf_counter()
    for images, labels in DataLoader(PerImage(data.train, varied), _USUAL_BATCH, shuffle=True):
        optimizer.zero_grad()
        loss(network(images.to(device)), labels.to(device)).backward()
        optimizer.step()
    plain = transforms.Compose(to_tensor)
    _usual_accuracy(network, DataLoader(PerImage(data.validation, plain), _USUAL_BATCH), device)
    return perf_counter() - started


def our_epoch(task: Task, data: Split, device: torch.device) -> float:
    """Train and validate for one epoch with the recipe of the task; returns the seconds it took."""
    task = replace(task, recipe=replace(task.recipe, epochs=1))
    started = perf_counter()
    for _ in Trainer(task, data, device, seed=0).run():
        pass
    return perf_counter() - started


def main() -> None:
    """Run both loops over both data sets and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    data_dir = Path(os.environ.get("ATELIER_DATASETS", "data"))
    parser.add_argument("--data-dir", type=Path, default=data_dir)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=int, help="images per part, for a trial")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    print(f"seconds per epoch on {device}, {torch.get_num_threads()} threads, median of rounds")
    for task in (mnist_mlp.TASK, cifar_cnn.TASK):
        source = task.find_source(arguments.data_dir)
        data = split(source.read(Part.TRAIN, arguments.limit), seed=0)
        rounds = [
            (usual_epoch(task, data, device), our_epoch(task, data, device))
            for _ in range(arguments.rounds)
        ]
        usual, ours = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
        print(f"{task.spec.name:8} usual {usual:7.2f}  ours {ours:7.2f}  ratio {usual / ours:.1f}")


def _to_tensor(spec: InputSpec) -> list[object]:
    return [transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]


@torch.no_grad()
def _usual_accuracy(
    network: nn.Module, loader: DataLoader[tuple[Tensor, int]], device: torch.device
) -> float:
    network.eval()
    correct = 0
    for images, labels in loader:
        predicted = network(images.to(device)).argmax(dim=1)
        correct += int((predicted == labels.to(device)).sum())
    return correct / len(loader.dataset)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
