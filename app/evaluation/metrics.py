"""Computation of metrics from probabilities and labels."""

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

from app.evaluation.predictions import Indices, Probabilities
from app.evaluation.report import (
    CalibrationBin,
    ClassificationMetrics,
    ClassReport,
    ConfidenceCalibration,
    ConfusionMatrix,
)

_BINS = 15
_TOP_K = (1, 3, 5)


def compute_metrics(
    probabilities: Probabilities, labels: Indices, classes: Sequence[str]
) -> ClassificationMetrics:
    """Compute the metrics of a model's predictions.

    Args:
        probabilities: float32 (N, K) with N >= 1, rows that sum to 1.
        labels: int64 (N,), class indices.
        classes: the K class names.
    """
    indices = np.arange(len(classes))
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    interval = binomtest(int(correct.sum()), len(labels)).proportion_ci(0.95, method="wilson")
    counts = confusion_matrix(labels, predicted, labels=indices)
    return ClassificationMetrics(
        n=len(labels),
        loss=float(log_loss(labels, _normalized(probabilities), labels=indices)),
        accuracy=float(correct.mean()),
        accuracy_interval=(float(interval.low), float(interval.high)),
        top_k_accuracy={
            str(k): float(correct.mean() if k == 1 else _top_k(labels, probabilities, k))
            for k in _TOP_K
            if k < len(classes)
        },
        classes=_classes(labels, predicted, classes),
        confusion_matrix=ConfusionMatrix(list(classes), counts.tolist()),
        calibration=_calibration(probabilities.max(axis=1), correct),
    )


def _normalized(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the probabilities in float64, so that rows sum to 1 as scikit-learn requires."""
    double = probabilities.astype(np.float64)
    double /= double.sum(axis=1, keepdims=True)
    return double


def _top_k(labels: Indices, probabilities: Probabilities, k: int) -> float:
    indices = np.arange(probabilities.shape[1])
    return float(top_k_accuracy_score(labels, probabilities, k=k, labels=indices))


def _classes(labels: Indices, predicted: Indices, names: Sequence[str]) -> list[ClassReport]:
    indices = np.arange(len(names))
    columns = precision_recall_fscore_support(
        labels, predicted, labels=indices, zero_division=np.nan
    )
    return [
        ClassReport(name, _known(precision), _known(recall), _known(f1), int(support))
        for name, precision, recall, f1, support in zip(names, *columns, strict=True)
    ]


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _calibration(confidence: Probabilities, correct: NDArray[np.bool_]) -> ConfidenceCalibration:
    """Return the calibration of confidence, float32 (N,), against correctness, bool (N,)."""
    edges = np.linspace(0, 1, _BINS + 1)
    bin_indices = np.digitize(
        confidence, edges[1:-1], right=True
    )  # above the lower edge, up to the upper
    bins = []
    for index, (low, high) in enumerate(pairwise(edges)):
        inside = bin_indices == index
        count = int(inside.sum())
        means = (float(each[inside].mean()) if count else None for each in (confidence, correct))
        bins.append(CalibrationBin(float(low), float(high), count, *means))
    gaps = [
        each.count * abs(each.confidence - each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    ]
    return ConfidenceCalibration(sum(gaps) / len(correct), bins)
