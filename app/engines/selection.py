"""Chooses the engine that executes a network: the fastest that answers as PyTorch does in float32.

Every candidate is shown the same pictures as the reference. One whose answers differ, or that
fails, is not used. Of the others the fastest is taken (of two about as fast, the more exact). The
verdict is kept on disk and holds as long as checkpoint, versions, processor and settings stay the
same and the engine still answers alike; what it was made of may have been damaged. Networks in
INT8, which answer only nearly alike, are candidates for those who ask.
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
from app.engines.parity import Parity
from app.engines.pytorch import Reference
from app.engines.selection_cache import Verdict, Verdicts, circumstances
from app.vision.classifier import Classifier

log = structlog.stdlib.get_logger(__name__)

_TIMED_BATCHES = (1, 8)
_TIMED_RUNS = 5
_WORTHWHILE = 0.9  # of the time of a more exact engine, to be taken instead


class Selection(StrEnum):
    """State of the selection of a model's engine."""

    PENDING = "pending"  # the reference engine answers until another has been selected
    DONE = "done"
    FAILED = "failed"  # the reference engine answers, as no other could be selected


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was chosen.

    Photographs are decoded for it with a shorter side of `enough_px` at least; None is in full.
    """

    engine: Engine
    reason: str
    enough_px: int | None
    selection: Selection = Selection.DONE


def reference(classifier: Classifier, options: EngineOptions) -> Choice:
    """Return the reference engine, which is available immediately."""
    engine = Reference(classifier)
    if options.preference == "exact":
        return Choice(engine, "the settings ask for exactly this", enough_px=None)
    return Choice(
        engine,
        "The reference engine answers until a faster one has been selected.",
        classifier.card.spec.input.enough_px,
        Selection.PENDING,
    )


def choose(classifier: Classifier, options: EngineOptions) -> Choice:
    """Choose, or build what was chosen before, if it still answers alike."""
    if options.preference == "exact":
        return reference(classifier, options)
    return chosen_before(classifier, options) or _compare(classifier, options)


def chosen_before(classifier: Classifier, options: EngineOptions) -> Choice | None:
    """Build what was chosen before; None if nothing was, or if it no longer agrees."""
    possible = list(candidates(classifier, options, fresh=False))
    verdict = _verdicts(options).find(_key(classifier, options, possible))
    return None if verdict is None else _built(verdict, possible, classifier)


def build(verdict: Verdict, classifier: Classifier, options: EngineOptions) -> Choice | None:
    """Build the engine of a verdict, of what was kept; None if it fails or does not agree."""
    return _built(verdict, list(candidates(classifier, options, fresh=False)), classifier)


def _compare(classifier: Classifier, options: EngineOptions) -> Choice:
    """Choose by trying all candidates, and keep the verdict."""
    exact = Reference(classifier)
    enough_px = classifier.card.spec.input.enough_px
    parity = Parity(exact, classifier.card.spec.input)
    trials = [_tried(each, parity) for each in candidates(classifier, options, fresh=True)]
    engine, notes = _fastest(trials), ", ".join(trial.note for trial in trials)
    if engine is None:
        log.warning("no engine that the settings ask for can be used", found=notes)
        reason = f"nothing else can be used: {notes}"
        return Choice(exact, reason, enough_px, Selection.FAILED)
    reason = f"fastest that agrees with float32 PyTorch: {notes}"
    if not any(trial.failed for trial in trials):  # the next start may do better
        key = _key(classifier, options, list(candidates(classifier, options, fresh=False)))
        _verdicts(options).keep(key, Verdict(engine.kind, reason))
    return Choice(engine, reason, enough_px)


def _verdicts(options: EngineOptions) -> Verdicts:
    return Verdicts(options.cache / "verdicts.json")


def _key(classifier: Classifier, options: EngineOptions, candidates: Sequence[Candidate]) -> str:
    """Name everything on which a verdict depends."""
    words = (
        classifier.card.digest,
        options.preference,
        "compiled" if options.compiled else "eager",
        circumstances(classifier.device),
        f"{options.threads} threads",
        *(f"{candidate.kind}{candidate.note}" for candidate in candidates),
    )
    return ", ".join(words)


def _built(
    verdict: Verdict, possible: Sequence[Candidate], classifier: Classifier
) -> Choice | None:
    picture = classifier.card.spec.input
    for candidate in possible:
        if candidate.kind == verdict.kind:
            try:
                engine = candidate.build()
                parity = Parity(Reference(classifier), picture)
                difference = parity.difference(engine, candidate.tolerance)
            except Exception:  # an engine may fail in almost any way
                log.exception("the engine chosen before fails", engine=str(verdict.kind))
                return None
            if difference <= candidate.tolerance:
                return Choice(engine, verdict.reason, picture.enough_px)
            log.error(
                "the engine chosen before no longer matches the reference", engine=str(verdict.kind)
            )
    return None


@dataclass(frozen=True)
class _Trial:
    """Result of trying a candidate. `engine` is None if it failed or does not agree."""

    engine: Engine | None
    seconds: float
    note: str
    failed: bool = False


def _tried(candidate: Candidate, parity: Parity) -> _Trial:
    kind, tolerance = candidate.kind, candidate.tolerance
    try:
        engine = candidate.build()
        difference = parity.difference(engine, tolerance)
        seconds = _seconds(engine, parity.pictures)
    except Exception as error:  # an engine may fail in almost any way
        log.exception("engine fails", engine=str(kind))
        return _Trial(None, math.inf, f"{kind} fails ({error!r:.80})", failed=True)
    if difference > tolerance:
        by = "names another class" if math.isinf(difference) else f"differs by {difference:.3f}"
        return _Trial(None, math.inf, f"{kind} {by}")
    return _Trial(engine, seconds, f"{kind}{candidate.note} {seconds * 1000:.2f} ms an image")


def _fastest(trials: Sequence[_Trial]) -> Engine | None:
    """Return the fastest; one that is less exact has to be worth it."""
    best = _Trial(None, math.inf, "")
    for trial in trials:
        if trial.seconds < _WORTHWHILE * best.seconds:
            best = trial
    return best.engine


def _seconds(engine: Engine, pictures: Sequence[Tensor]) -> float:
    """Time an image costs: the mean over a single one and a batch."""
    costs = []
    for size in _TIMED_BATCHES:
        batch = pictures[:size]
        engine.probabilities(batch)
        best = min(_timed(engine, batch) for _ in range(_TIMED_RUNS))
        costs.append(best / size)
    return sum(costs) / len(costs)


def _timed(engine: Engine, batch: Sequence[Tensor]) -> float:
    started = perf_counter()
    engine.probabilities(batch)
    return perf_counter() - started
