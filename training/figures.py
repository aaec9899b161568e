"""Figures of a training run, each drawn into one PNG file."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from app.vision.charts import draw_confusion
from app.vision.specs import InputSpec, ModelSpec
from training.examples import Examples

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "training draws its figures with matplotlib; install it by: pip install -e '.[train]'"
    ) from error

_DETAIL_PX = 32  # more pixel values than this a side are neither readable nor quickly drawn
_DARK_LEVEL = 128


def unnormalize(batch: Tensor, spec: InputSpec) -> Tensor:
    """Turn the network's input back into pixels: uint8 (B, C, H, W) from float32, the same."""
    mean = torch.tensor(spec.mean, device=batch.device).view(-1, 1, 1)  # (C, 1, 1)
    std = torch.tensor(spec.std, device=batch.device).view(-1, 1, 1)  # (C, 1, 1)
    return ((batch * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def loss_curves(
    epochs: Sequence[float], training: Sequence[float], validation: Sequence[float], path: Path
) -> None:
    """Draw both losses, in nats, and mark where the validation loss is lowest.

    `epochs` says after how many of them, or which part of one, each loss was measured.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    kept = epochs[validation.index(min(validation))]
    axes.plot(epochs, training, marker=".", label="training (augmented)")
    axes.plot(epochs, validation, marker=".", label="validation")
    axes.axvline(kept, color="gray", linestyle=":", label=f"kept: epoch {kept:.4g}")
    axes.set(xlabel="epoch", ylabel="loss (nats)", yscale="log")
    axes.legend()
    figure.savefig(path)


def image_grid(images: Tensor, titles: Sequence[str], colors: Sequence[str], path: Path) -> None:
    """Draw titled images in rows of eight: uint8 (N, C, H, W), 0..255."""
    columns = 8
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.8 * rows))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.2 / rows, hspace=0.25)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, title, color in zip(grid.flat, images, titles, colors, strict=False):
        _show(axes, image)
        axes.set_title(title, color=color, fontsize=9)
    figure.savefig(path)


def training_images(batch: Tensor, labels: Tensor, spec: ModelSpec, path: Path) -> None:
    """Draw what the network learns from: its input, float32 (N, C, H, W), un-normalized."""
    titles = [spec.classes[label] for label in labels.tolist()]
    image_grid(unnormalize(batch, spec.input), titles, ["black"] * len(titles), path)


def predictions(examples: Examples, predicted: Tensor, classes: Sequence[str], path: Path) -> None:
    """Draw images titled "predicted (true)", green where that is right and red where it is not."""
    pairs = list(zip(predicted.tolist(), examples.labels.tolist(), strict=True))
    titles = [f"{classes[guess]} ({classes[label]})" for guess, label in pairs]
    colors = ["green" if guess == label else "red" for guess, label in pairs]
    image_grid(examples.images, titles, colors, path)


def confusion_matrix(confusion: Tensor, classes: Sequence[str], path: Path) -> None:
    """Draw int64 (K, K) counts, rows true and columns predicted, shaded within each row."""
    figure = Figure(
        figsize=(2 + 0.7 * len(classes), 1.5 + 0.7 * len(classes)), layout="constrained"
    )
    axes = figure.subplots()
    draw_confusion(axes, confusion.tolist(), classes)
    figure.savefig(path)


def channels(image: Tensor, path: Path) -> None:
    """Draw each channel of uint8 (C, H, W) with its values, 0..255; the center of a large image."""
    top, left = (max(0, side - _DETAIL_PX) // 2 for side in image.shape[1:])
    image = image[:, top : top + _DETAIL_PX, left : left + _DETAIL_PX]
    names = ("red", "green", "blue") if len(image) == 3 else ("gray",)
    figure = Figure(figsize=(11 * len(image), 11.5), dpi=72)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.03, top=0.95, wspace=0.04)
    grid = figure.subplots(1, len(image), squeeze=False)
    for axes, channel, name in zip(grid.flat, image, names, strict=True):
        axes.imshow(channel.numpy(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(name)
        for row, levels in enumerate(channel.tolist()):
            for column, level in enumerate(levels):
                color = "white" if level < _DARK_LEVEL else "black"
                axes.text(
                    column, row, str(level), ha="center", va="center", color=color, fontsize=7
                )
    figure.savefig(path)


def _show(axes: Axes, image: Tensor) -> None:
    pixels = image.cpu().permute(1, 2, 0).numpy()  # (H, W, C)
    if pixels.shape[2] == 1:
        axes.imshow(pixels[:, :, 0], cmap="gray", vmin=0, vmax=255)
    else:
        axes.imshow(pixels)
