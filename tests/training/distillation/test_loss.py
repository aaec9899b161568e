import pytest
import torch

from training.distillation.loss import DistillationLoss


def test_nothing_is_lost_by_answering_as_the_teacher_does() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(5, 1000)
    loss = DistillationLoss(temperature=2.0, label_weight=0.0)
    same = torch.cat((teacher + 3, torch.randn(5, 1)), dim=1)
    assert loss(same, teacher, torch.zeros(5)).item() == pytest.approx(0, abs=1e-5)
    assert loss(torch.randn(5, 1001), teacher, torch.zeros(5)).item() > 0.1


def test_the_divergence_is_the_textbook_one() -> None:
    teacher, student = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.5]])
    rest = torch.full((1, 997), -1e4)
    p, q = (torch.softmax(each / 2, dim=1) for each in (teacher, student))
    expected = 4 * (p * (p / q).log()).sum()
    loss = DistillationLoss(temperature=2.0, label_weight=0.0)
    found = loss(
        torch.cat((student, rest, torch.zeros(1, 1)), dim=1),
        torch.cat((teacher, rest), dim=1),
        torch.zeros(1),
    )
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("dog", [0.0, 0.25, 1.0])
def test_labels_help_in_proportion(dog: float) -> None:
    logits, odds = torch.zeros(1, 1000), torch.tensor(2.0)
    loss = DistillationLoss(temperature=1.0, label_weight=0.5)
    found = loss(torch.cat((logits, odds.view(1, 1)), dim=1), logits, torch.tensor([dog]))
    right, wrong = odds.sigmoid().log(), (-odds).sigmoid().log()
    assert found.item() == pytest.approx(-0.5 * (dog * right + (1 - dog) * wrong).item(), abs=1e-5)
