"""Quantization of a checkpoint to INT8: python -m training.quantize catdog.

    training images --NNCF--> NAME.int8.xml and .bin     DatasetError, CheckpointError
    validation images --> accept or reject             QuantizationError

The images are split as when the network was trained.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import nncf
import openvino
import torch
from rich.console import Console
from torch import Tensor

from app.engines import quantized
from app.engines.openvino import OpenVinoEngine, convert
from app.errors import AtelierError
from app.vision.classifier import Classifier
from app.vision.scores import Scores, score
from app.vision.specs import CATDOG, CIFAR10, MNIST, InputSpec
from training import cli
from training.data import Part, Source, find_catdog, find_cifar10, find_mnist
from training.examples import Examples, spaced
from training.splits import split

_MAX_LOSS = 0.002  # of validation accuracy, 0..1: two images of a thousand
_EXACT_CONVOLUTIONS = 7
_BATCH = 32

_SOURCES: Mapping[str, Callable[[Path, InputSpec], Source]] = {
    MNIST.name: lambda folder, _: find_mnist(folder),
    CIFAR10.name: lambda folder, _: find_cifar10(folder),
    CATDOG.name: find_catdog,
}


class QuantizationError(AtelierError):
    """A network cannot be quantized, or loses too much accuracy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Quantize according to the command line, and return the exit status."""
    nncf.set_log_level(logging.ERROR)
    parser = argparse.ArgumentParser(
        prog="python -m training.quantize",
        description="Quantize a checkpoint to INT8, for ATELIER_ENGINE=int8.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", choices=_SOURCES)
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="of the checkpoint")
    parser.add_argument(
        "--images", type=int, default=300, help="number of training images for the calibration"
    )
    cli.add_common_options(parser)
    options = parser.parse_args(arguments)
    return cli.guarded(partial(_run, options), lambda: "Nothing was changed.")


def _run(options: argparse.Namespace) -> None:
    classifier = Classifier.load(options.model, options.models_dir, torch.device("cpu"))
    card, console = classifier.card, Console(highlight=False)
    source = _SOURCES[options.model](options.data_dir, card.spec.input)
    data = split(source.read(Part.TRAIN, options.limit), options.split_seed)
    if data.digest != card.data.split:
        raise QuantizationError(
            f"{options.model} was trained on other images, or with another --limit or --split-seed"
        )
    calibration = data.train.images[spaced(len(data.train), options.images)]
    model = quantize(convert(classifier, options.runs_dir / "engines"), calibration)
    classes = card.spec.classes
    validation = evaluate(model, data.validation, classes)
    console.print(f"validation accuracy {_change(validation, card.validation)}")
    if validation.accuracy < card.validation.accuracy - _MAX_LOSS:
        raise QuantizationError("it loses too much accuracy in INT8; more --images may help")
    test = evaluate(model, source.read(Part.TEST, options.limit), classes)
    note = f"test accuracy {_change(test, card.test)}"
    console.print(f"{note}\n{quantized.save(model, card, note, options.models_dir)}")


def quantize(model: openvino.Model, images: Tensor) -> openvino.Model:
    """Return the model in INT8, with ranges calibrated on images, uint8 (N, C, H, W), 0..255.

    The first convolutions are not quantized, because their errors would be amplified the most.
    """
    convolutions = [
        each.get_friendly_name()
        for each in model.get_ordered_ops()
        if each.get_type_name() == "Convolution"
    ]
    return nncf.quantize(
        model,
        nncf.Dataset([image.unsqueeze(0).numpy() for image in images]),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=convolutions[:_EXACT_CONVOLUTIONS]),
    )


def evaluate(model: openvino.Model, examples: Examples, classes: tuple[str, ...]) -> Scores:
    """Score a model in INT8 on labeled images."""
    engine = OpenVinoEngine(model, quantized.KIND, threads=torch.get_num_threads())
    pictures = list(examples.images)
    answers = [
        engine.probabilities(pictures[start : start + _BATCH])
        for start in range(0, len(pictures), _BATCH)
    ]
    return score(torch.cat(answers).log(), examples.labels, classes)


def _change(now: Scores, before: Scores) -> str:
    return f"{now.accuracy:.2%}, in float32 {before.accuracy:.2%}"


if __name__ == "__main__":
    sys.exit(main())
