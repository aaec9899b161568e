"""From probabilities and labels to metrics."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from app.evaluation.arrays import Indices, Probabilities
from app.evaluation.report import Bin, Calibration, ClassReport, Confusion, Metrics

_BINS = 15
_TOP_K = (1, 3, 5)


def measure(probabilities: Probabilities, labels: Indices, classes: Sequence[str]) -> Metrics:
    """Measure a model's answers.

    Args:
        probabilities: float32 (N, K) with N >= 1, rows that sum to 1.
        labels: int64 (N,), class indices.
        classes: the K names.
    """
    every = np.arange(len(classes))
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    interval = binomtest(int(right.sum()), len(labels)).proportion_ci(0.95, method="wilson")
    counts = confusion_matrix(labels, predicted, labels=every)
    return Metrics(
        n=len(labels),
        loss=float(log_loss(labels, _proper(probabilities), labels=every)),
        accuracy=float(right.mean()),
        accuracy_interval=(float(interval.low), float(interval.high)),
        top_k_accuracy={
            str(k): float(right.mean() if k == 1 else _top_k(labels, probabilities, k))
            for k in _TOP_K
            if k < len(classes)
        },
        classes=_classes(labels, predicted, classes),
        confusion_matrix=Confusion(list(classes), counts.tolist()),
        calibration=_calibration(probabilities.max(axis=1), right),
    )


def _proper(probabilities: Probabilities) -> NDArray[np.float64]:
    """In double precision, where rows sum to 1 as exactly as scikit-learn asks for."""
    double = probabilities.astype(np.float64)
    double /= double.sum(axis=1, keepdims=True)
    return double


def _top_k(labels: Indices, probabilities: Probabilities, k: int) -> float:
    every = np.arange(probabilities.shape[1])
    return float(top_k_accuracy_score(labels, probabilities, k=k, labels=every))


def _classes(labels: Indices, predicted: Indices, names: Sequence[str]) -> list[ClassReport]:
    every = np.arange(len(names))
    columns = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=np.nan)
    return [
        ClassReport(name, _known(precision), _known(recall), _known(f1), int(support))
        for name, precision, recall, f1, support in zip(names, *columns, strict=True)
    ]


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _calibration(confidence: Probabilities, right: NDArray[np.bool_]) -> Calibration:
    """Compare confidence, float32 (N,), with whether the prediction is right, bool (N,)."""
    edges = np.linspace(0, 1, _BINS + 1)
    places = np.digitize(confidence, edges[1:-1], right=True)  # above the low edge, up to the high
    bins = []
    for place, (low, high) in enumerate(pairwise(edges)):
        inside = places == place
        count = int(inside.sum())
        means = (float(each[inside].mean()) if count else None for each in (confidence, right))
        bins.append(Bin(float(low), float(high), count, *means))
    gaps = [
        each.count * abs(each.confidence - each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    ]
    return Calibration(sum(gaps) / len(right), bins)
