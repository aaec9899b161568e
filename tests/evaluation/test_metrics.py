import numpy as np
import pytest

from app.evaluation.metrics import compute_metrics

CLASSES = ("a", "b", "c", "d")


def test_metrics_match_a_manual_computation() -> None:
    probabilities = np.array(
        [
            [0.7, 0.1, 0.1, 0.1],  # a, right
            [0.6, 0.2, 0.1, 0.1],  # b, taken for a
            [0.1, 0.9, 0.0, 0.0],  # b, right
            [0.4, 0.3, 0.2, 0.1],  # c, taken for a; third
            [0.1, 0.8, 0.1, 0.0],  # b, right
        ],
        dtype=np.float32,
    )
    found = compute_metrics(probabilities, np.array([0, 1, 1, 2, 1]), CLASSES)
    assert found.n == 5
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.loss == pytest.approx(-np.log([0.7, 0.2, 0.9, 0.2, 0.8]).mean(), rel=1e-5)
    # Wilson's interval for 3 of 5, from the formula with z = 1.95996
    assert found.accuracy_interval == pytest.approx((0.23072, 0.88238), abs=1e-5)
    assert found.top_k_accuracy == pytest.approx({"1": 3 / 5, "3": 1.0})
    assert found.confusion_matrix.counts == [[1, 0, 0, 0], [1, 2, 0, 0], [1, 0, 0, 0], [0] * 4]
    a, b, c, d = found.classes
    assert (a.precision, a.recall, a.support) == pytest.approx((1 / 3, 1, 1))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((1, 2 / 3, 0.8, 3))
    assert (c.precision, c.recall, c.support) == (None, 0, 1)
    assert (d.precision, d.recall, d.f1, d.support) == (None, None, None, 0)
    bins = found.calibration.bins
    assert len(bins) == 15
    assert sum(each.count for each in bins) == 5
    # 0.4 and 0.6 are the upper edges of their bins; each of the five has one of its own
    gaps = [0.3, 0.6, 0.1, 0.4, 0.2]
    assert found.calibration.ece == pytest.approx(sum(gaps) / 5, abs=1e-6)


def test_two_classes_and_certain_mistakes_have_finite_metrics() -> None:
    probabilities = np.array([[1, 0], [0, 1]], dtype=np.float32)
    found = compute_metrics(probabilities, np.array([1, 1]), ("cat", "dog"))
    assert np.isfinite(found.loss)
    assert found.top_k_accuracy == {"1": 0.5}
    assert found.calibration.bins[-1].count == 2
    assert found.calibration.ece == pytest.approx(0.5)


def test_metrics_of_a_single_class() -> None:
    probabilities = np.full((3, 4), 0.25, dtype=np.float32)
    found = compute_metrics(probabilities, np.array([3, 3, 3]), CLASSES)
    assert found.accuracy == 0
    assert [each.support for each in found.classes] == [0, 0, 0, 3]
