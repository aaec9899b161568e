"""Selection of the fastest engine that matches float32 PyTorch.

Every candidate processes the same images as the reference. Candidates that differ or fail are
rejected. The fastest of the others is selected; of two with about the same speed, the more exact.
The selection is cached on disk. It is valid as long as checkpoint, versions, processor and settings
are unchanged and the engine still matches the reference, since its files may have been damaged.
INT8 networks, which match only approximately, are candidates only if the operator enables them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

import structlog
from torch import Tensor

from app.engines.candidates import Candidate, candidates
from app.engines.engine import Engine
from app.engines.options import EngineOptions
from app.engines.parity import ParityCheck
from app.engines.pytorch import ReferenceEngine
from app.engines.selection_cache import CachedSelection, SelectionCache, host_description
from app.vision.classifier import Classifier

log = structlog.stdlib.get_logger(__name__)

_TIMED_BATCHES = (1, 8)
_TIMED_RUNS = 5
_MAX_RELATIVE_TIME = 0.9  # of a more exact engine's time, for a faster one to be preferred


class SelectionState(StrEnum):
    """State of the engine selection of a model."""

    PENDING = "pending"  # the reference engine is used until another one is selected
    DONE = "done"
    FAILED = "failed"  # the reference engine is used because no other could be selected


@dataclass(frozen=True)
class EngineSelection:
    """The engine of a model and the reason for its selection.

    Photographs are decoded for it with a shorter side of at least `min_side_px`; None means full
    size.
    """

    engine: Engine
    reason: str
    min_side_px: int | None
    state: SelectionState = SelectionState.DONE


def reference_selection(classifier: Classifier, options: EngineOptions) -> EngineSelection:
    """Return the reference engine, which needs no preparation."""
    engine = ReferenceEngine(classifier)
    if options.preference == "exact":
        return EngineSelection(
            engine, "The settings require the reference engine.", min_side_px=None
        )
    return EngineSelection(
        engine,
        "The reference engine is used until a faster one has been selected.",
        classifier.card.spec.input.min_side_px,
        SelectionState.PENDING,
    )


def select_engine(classifier: Classifier, options: EngineOptions) -> EngineSelection:
    """Build the cached selection if it still matches the reference; otherwise select again."""
    if options.preference == "exact":
        return reference_selection(classifier, options)
    return restore_selection(classifier, options) or _compare(classifier, options)


def restore_selection(classifier: Classifier, options: EngineOptions) -> EngineSelection | None:
    """Build the cached selection; None if there is none or it no longer matches the reference."""
    possible = list(candidates(classifier, options, fresh=False))
    cached = _cache(options).find(_key(classifier, options, possible))
    return None if cached is None else _build(cached, possible, classifier)


def build_selection(
    cached: CachedSelection, classifier: Classifier, options: EngineOptions
) -> EngineSelection | None:
    """Build the selected engine from cached files; None if it fails or does not match."""
    return _build(cached, list(candidates(classifier, options, fresh=False)), classifier)


def _compare(classifier: Classifier, options: EngineOptions) -> EngineSelection:
    """Select an engine by trying all candidates, and cache the selection."""
    exact = ReferenceEngine(classifier)
    min_side_px = classifier.card.spec.input.min_side_px
    parity = ParityCheck(exact, classifier.card.spec.input)
    trials = [_try_candidate(each, parity) for each in candidates(classifier, options, fresh=True)]
    engine, notes = _fastest(trials), ", ".join(trial.note for trial in trials)
    if engine is None:
        log.warning("no engine that the settings allow can be used", found=notes)
        reason = f"No other engine can be used: {notes}."
        return EngineSelection(exact, reason, min_side_px, SelectionState.FAILED)
    reason = f"This is the fastest engine that matches float32 PyTorch: {notes}."
    if not any(trial.failed for trial in trials):  # else the next start tries again
        key = _key(classifier, options, list(candidates(classifier, options, fresh=False)))
        _cache(options).put(key, CachedSelection(engine.kind, reason))
    return EngineSelection(engine, reason, min_side_px)


def _cache(options: EngineOptions) -> SelectionCache:
    return SelectionCache(options.cache / "verdicts.json")


def _key(classifier: Classifier, options: EngineOptions, candidates: Sequence[Candidate]) -> str:
    """Return a key of everything that a selection depends on."""
    words = (
        classifier.card.digest,
        options.preference,
        "compiled" if options.compiled else "eager",
        host_description(classifier.device),
        f"{options.threads} threads",
        *(f"{candidate.kind}{candidate.note}" for candidate in candidates),
    )
    return ", ".join(words)


def _build(
    cached: CachedSelection, possible: Sequence[Candidate], classifier: Classifier
) -> EngineSelection | None:
    spec = classifier.card.spec.input
    for candidate in possible:
        if candidate.kind == cached.kind:
            try:
                engine = candidate.build()
                parity = ParityCheck(ReferenceEngine(classifier), spec)
                difference = parity.difference(engine, candidate.tolerance)
            except Exception:  # an engine may fail in almost any way
                log.exception("the cached engine failed", engine=str(cached.kind))
                return None
            if difference <= candidate.tolerance:
                return EngineSelection(engine, cached.reason, spec.min_side_px)
            log.error("the cached engine no longer matches the reference", engine=str(cached.kind))
    return None


@dataclass(frozen=True)
class _Trial:
    """Result of trying a candidate. `engine` is None if it failed or does not match."""

    engine: Engine | None
    seconds: float
    note: str
    failed: bool = False


def _try_candidate(candidate: Candidate, parity: ParityCheck) -> _Trial:
    kind, tolerance = candidate.kind, candidate.tolerance
    try:
        engine = candidate.build()
        difference = parity.difference(engine, tolerance)
        seconds = _image_time_s(engine, parity.images)
    except Exception as error:  # an engine may fail in almost any way
        log.exception("engine failed", engine=str(kind))
        return _Trial(None, math.inf, f"{kind} failed ({error!r:.80})", failed=True)
    if difference > tolerance:
        by = "predicts another class" if math.isinf(difference) else f"differs by {difference:.3f}"
        return _Trial(None, math.inf, f"{kind} {by}")
    return _Trial(engine, seconds, f"{kind}{candidate.note} {seconds * 1000:.2f} ms per image")


def _fastest(trials: Sequence[_Trial]) -> Engine | None:
    """Return the fastest engine; a less exact one must be clearly faster."""
    best = _Trial(None, math.inf, "")
    for trial in trials:
        if trial.seconds < _MAX_RELATIVE_TIME * best.seconds:
            best = trial
    return best.engine


def _image_time_s(engine: Engine, images: Sequence[Tensor]) -> float:
    """Return the time per image: the mean of a single image and a batch."""
    costs = []
    for size in _TIMED_BATCHES:
        batch = images[:size]
        engine.probabilities(batch)
        best = min(_run_time_s(engine, batch) for _ in range(_TIMED_RUNS))
        costs.append(best / size)
    return sum(costs) / len(costs)


def _run_time_s(engine: Engine, batch: Sequence[Tensor]) -> float:
    started = perf_counter()
    engine.probabilities(batch)
    return perf_counter() - started
