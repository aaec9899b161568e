import pytest
import torch

from app.vision.scores import ClassScore, Scores, confusion_matrix, score


def test_scores_count_by_class() -> None:
    outputs = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.0]]).log_softmax(dim=1)
    scores = score(outputs, torch.tensor([0, 1, 1]), ("a", "b", "c"))
    assert scores.count == 3
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.classes == {"a": ClassScore(1, 1), "b": ClassScore(1, 2), "c": ClassScore(0, 0)}
    expected = -(outputs[0, 0] + outputs[1, 1] + outputs[2, 1]) / 3
    assert scores.loss == pytest.approx(expected.item())


def test_logits_and_log_probabilities_have_equal_scores() -> None:
    logits, labels = torch.randn(20, 4), torch.randint(4, (20,))
    classes = ("a", "b", "c", "d")
    first, second = score(logits, labels, classes), score(logits.log_softmax(1), labels, classes)
    assert first.loss == pytest.approx(second.loss, rel=1e-5)
    assert first.classes == second.classes


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    confusion = confusion_matrix(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 0]), 2)
    assert confusion.tolist() == [[1, 2], [0, 0]]


def test_scores_round_trip_through_json() -> None:
    scores = Scores(3, 0.5, 2 / 3, {"a": ClassScore(1, 1), "b": ClassScore(0, 0)})
    assert Scores.from_json(scores.to_json()) == scores
