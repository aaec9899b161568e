"""Candidate engines for a network on this host."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NoReturn

import torch

from app.engines.engine import Engine, EngineKind
from app.engines.options import EngineOptions
from app.engines.parity import INT8_TOLERANCE, TOLERANCE
from app.engines.pytorch import PyTorchEngine, ReferenceEngine
from app.vision.classifier import Classifier
from app.vision.device import supports_bfloat16


@dataclass(frozen=True)
class Candidate:
    """An engine that this host may be able to build.

    `tolerance` is the maximum difference of any probability from the reference; `note` describes
    the engine's known accuracy.
    """

    kind: EngineKind
    build: Callable[[], Engine]
    tolerance: float = TOLERANCE
    note: str = ""


def candidates(
    classifier: Classifier, options: EngineOptions, *, fresh: bool
) -> Iterator[Candidate]:
    """Yield every engine that the host and the operator's preference allow, most exact first.

    With `fresh`, the network is converted again; otherwise only the cached conversion is used.
    """
    device = classifier.device
    if options.preference != "openvino":
        yield Candidate(ReferenceEngine.kind, lambda: ReferenceEngine(classifier))
        if supports_bfloat16(device):
            compiled = options.compiled and device.type == "cuda"
            yield Candidate(
                EngineKind("torch", "bfloat16"),
                lambda: PyTorchEngine(classifier, torch.bfloat16, compiled=compiled),
            )
    if options.preference == "openvino" or (
        options.preference != "torch" and device.type == "cpu" and _has_openvino()
    ):
        yield from _openvino_candidates(classifier, options, fresh=fresh)


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _openvino_candidates(
    classifier: Classifier, options: EngineOptions, *, fresh: bool
) -> Iterator[Candidate]:
    try:
        from app.engines import openvino, quantized  # noqa: PLC0415 - an optional extra

        has_bfloat16 = openvino.has_bfloat16(classifier.device)
    except Exception as error:  # raised when the candidate is built
        yield Candidate(EngineKind("openvino", "float32"), partial(_raise, error))
        return

    @cache
    def model() -> Any:
        if fresh:
            return openvino.convert(classifier, options.cache)
        return openvino.read_converted(classifier.card, options.cache)

    def build(kind: EngineKind) -> Engine:
        return openvino.OpenVinoEngine(model(), kind, threads=options.threads)

    yield Candidate(openvino.FLOAT32, lambda: build(openvino.FLOAT32))
    if has_bfloat16:
        yield Candidate(openvino.BFLOAT16, lambda: build(openvino.BFLOAT16))
    found = quantized.find(classifier.card, options.models)
    if options.preference == "int8" and found is not None:
        yield Candidate(
            quantized.KIND,
            lambda: openvino.OpenVinoEngine(found.model, quantized.KIND, threads=options.threads),
            INT8_TOLERANCE,
            f" ({found.note})",
        )


def _raise(error: Exception) -> NoReturn:
    raise error
