"""Chooses the engine that executes a network: the fastest that answers as PyTorch does in float32.

Every candidate is shown the same pictures as the reference. One whose answers differ, or that
fails, is not used. Of the others the fastest is taken (of two about as fast, the more exact). The
verdict is kept on disk and holds as long as checkpoint, versions, processor and thread count stay
the same.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import structlog
import torch
from torch import Tensor

from app.engines.engine import Engine, Kind
from app.engines.pytorch import PyTorchEngine
from app.engines.verdicts import Verdict, Verdicts, circumstances
from app.vision.classifier import Classifier
from app.vision.device import supports_bfloat16
from app.vision.specs import InputSpec

log = structlog.stdlib.get_logger(__name__)

TOLERANCE = 0.005
"""Largest difference of any probability from float32 PyTorch's, on the probes.

On real test images, engines that keep to it named the same class at least 999 times in 1000, with
probabilities within 0.03 (benchmarks/parity.py); one that had 0.006 did not.
"""

Preference = Literal["auto", "torch", "openvino", "exact"]
"""`exact` is float32 PyTorch and nothing else."""

_PROBES = 16
_SEED = 0
_TIMED_BATCHES = (1, 8)
_TIMED_RUNS = 5
_WORTHWHILE = 0.9  # of the time of a more exact engine, to be taken instead


@dataclass(frozen=True)
class EngineOptions:
    """What an operator decides.

    `cache` is a folder for what engines prepare, `threads` how many compute on a CPU, `compiled`
    whether PyTorch compiles networks on CUDA.
    """

    preference: Preference
    threads: int
    compiled: bool
    cache: Path


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was chosen.

    Photographs are decoded for it with a shorter side of `enough_px` at least; None is in full.
    """

    engine: Engine
    reason: str
    enough_px: int | None


class Reference:
    """The network as it was loaded, in float32: what every other engine is compared with."""

    kind = Kind("torch", "float32")

    def __init__(self, classifier: Classifier) -> None:
        self.probabilities = classifier.probabilities


def choose(classifier: Classifier, options: EngineOptions) -> Choice:
    """Choose, or build what was chosen before."""
    if options.preference == "exact":
        return Choice(Reference(classifier), "the settings ask for exactly this", enough_px=None)
    enough_px = classifier.card.spec.input.enough_px
    builders = dict(_candidates(classifier, options))
    verdicts = Verdicts(options.cache / "verdicts.json")
    key = f"{classifier.card.digest} {options.preference} {circumstances(classifier.device)}"
    key = f"{key} x{options.threads}"
    known = verdicts.find(key)
    if known is not None and known.kind in builders:
        try:
            return Choice(builders[known.kind](), known.reason, enough_px)
        except Exception:  # whatever it was, the candidates are compared again
            log.exception("the engine chosen before fails", engine=str(known.kind))
    engine, reason = _compared(classifier, builders)
    verdicts.keep(key, Verdict(engine.kind, reason))
    return Choice(engine, reason, enough_px)


def _candidates(
    classifier: Classifier, options: EngineOptions
) -> Iterator[tuple[Kind, Callable[[], Engine]]]:
    """Every engine that this host and the operator's preference allow, the reference first."""
    yield Reference.kind, lambda: Reference(classifier)
    device = classifier.device
    if options.preference != "openvino" and supports_bfloat16(device):
        compiled = options.compiled and device.type == "cuda"
        yield (
            Kind("torch", "bfloat16"),
            lambda: PyTorchEngine(classifier, torch.bfloat16, compiled=compiled),
        )
    if options.preference != "torch" and device.type == "cpu" and _has_openvino():
        from app.engines import openvino  # noqa: PLC0415 - an extra that may be missing

        def build(dtype: torch.dtype) -> Engine:
            return openvino.OpenVinoEngine(
                classifier, dtype, threads=options.threads, cache=options.cache
            )

        yield Kind("openvino", "float32"), lambda: build(torch.float32)
        if openvino.has_bfloat16():
            yield Kind("openvino", "bfloat16"), lambda: build(torch.bfloat16)


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _compared(
    classifier: Classifier, builders: Mapping[Kind, Callable[[], Engine]]
) -> tuple[Engine, str]:
    """Return the fastest that agrees, and what was measured."""
    pictures = probes(classifier.card.spec.input)
    expected = classifier.probabilities(pictures)
    best, best_s, notes = None, float("inf"), []
    for kind, build in builders.items():
        try:
            engine = build()
            difference = disagreement(engine.probabilities(pictures), expected)
            seconds = _seconds(engine, pictures)
        except Exception as error:  # an engine may fail in almost any way
            log.exception("engine fails", engine=str(kind))
            notes.append(f"{kind} fails ({type(error).__name__})")
            continue
        if difference > TOLERANCE:
            notes.append(f"{kind} differs by {difference:.3f}")
            continue
        notes.append(f"{kind} {seconds * 1000:.2f} ms")
        if seconds < _WORTHWHILE * best_s:
            best, best_s = engine, seconds
    assert best is not None, "the reference agrees with itself"
    return best, f"fastest that agrees with float32 PyTorch: {', '.join(notes)} an image"


def probes(spec: InputSpec) -> list[Tensor]:
    """Make the pictures that engines are compared on, always the same: uint8 (C, H, W), 0..255.

    Soft blots of colour, from coarse to fine: noise of single pixels looks like no photograph.
    """
    generator = torch.Generator().manual_seed(_SEED)
    made = []
    for number in range(_PROBES):
        cells = 2 + number
        noise = torch.randn(1, spec.channels, cells, cells, generator=generator)
        smooth = torch.nn.functional.interpolate(
            noise, (spec.height, spec.width), mode="bicubic", antialias=False
        )[0]
        made.append((128 + 64 * smooth).clamp(0, 255).byte())
    return made


def disagreement(answers: Tensor, expected: Tensor) -> float:
    """Return the largest difference of any probability, both float32 (B, K).

    It is infinite where another class comes first; of two that are closer than the tolerance,
    either may.
    """
    difference = (answers - expected).abs().max().item()
    chosen = expected.gather(1, answers.argmax(dim=1, keepdim=True)).squeeze(1)
    is_same_top = (expected.amax(dim=1) - chosen <= TOLERANCE).all()
    is_finite = bool(answers.isfinite().all())
    return difference if is_same_top and is_finite else float("inf")


def _seconds(engine: Engine, pictures: list[Tensor]) -> float:
    """Time an image costs: the mean over a single one and a batch."""
    costs = []
    for size in _TIMED_BATCHES:
        batch = pictures[:size]
        engine.probabilities(batch)
        best = min(_timed(engine, batch) for _ in range(_TIMED_RUNS))
        costs.append(best / size)
    return sum(costs) / len(costs)


def _timed(engine: Engine, batch: list[Tensor]) -> float:
    started = perf_counter()
    engine.probabilities(batch)
    return perf_counter() - started
