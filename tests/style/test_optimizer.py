import math

import pytest
import torch
from torch import Tensor

from app.style.optimizer import LBFGS, Adam, Optimizer

TARGET = torch.linspace(0.1, 0.9, 48).view(1, 3, 4, 4)
CURVATURE = torch.logspace(0, 3, 48).view(1, 3, 4, 4)


def loss_and_gradient(x: Tensor, target: Tensor) -> tuple[float, Tensor]:
    difference = x - target
    return (CURVATURE * difference.square()).sum().item() / 2, CURVATURE * difference


def descend(optimizer: Optimizer, target: Tensor, steps: int) -> Tensor:
    x = torch.full_like(target, 0.5)
    for _ in range(steps):
        x = optimizer.step(x, *loss_and_gradient(x, target))
    return optimizer.result(x)


def test_lbfgs_finds_the_minimum_of_an_ill_conditioned_quadratic() -> None:
    found = descend(LBFGS(TARGET, history=10), TARGET, 150)
    assert (found - TARGET).abs().max() < 1e-3


def test_lbfgs_step_is_half_of_the_dense_update() -> None:
    optimizer = LBFGS(TARGET, history=5, bands=1)
    x = torch.full_like(TARGET, 0.5)
    pairs: list[tuple[Tensor, Tensor]] = []
    before: tuple[Tensor, Tensor] | None = None
    for _ in range(12):
        loss, gradient = loss_and_gradient(x, TARGET)
        place, slope = x.double().flatten(), gradient.double().flatten()
        if before is not None:
            pairs.append((place - before[0], slope - before[1]))
        before = place, slope
        x = optimizer.step(x, loss, gradient)
        if pairs:
            wanted = place - dense_inverse_hessian(pairs) @ slope / 2
            assert (x.flatten() - wanted).abs().max() < 1e-4


def dense_inverse_hessian(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Textbook BFGS, from the scale of all steps and the last five steps."""
    fading = [0.6**age for age in range(len(pairs))][::-1]
    of_steps = sum(fade * s.dot(s) for fade, (s, _) in zip(fading, pairs, strict=True))
    of_changes = sum(fade * y.dot(y) for fade, (_, y) in zip(fading, pairs, strict=True))
    one = torch.eye(TARGET.numel(), dtype=torch.float64)
    inverse = one * (of_steps / of_changes) ** 0.5
    for s, y in pairs[-5:]:
        rho = 1 / s.dot(y)
        left = one - rho * torch.outer(s, y)
        inverse = left @ inverse @ left.T + rho * torch.outer(s, s)
    return inverse


def test_lbfgs_stays_in_range_and_finds_the_constrained_minimum() -> None:
    target = TARGET * 2 - 0.5
    found = descend(LBFGS(target, history=10), target, 150)
    assert (found - target.clamp(0, 1)).abs().max() < 1e-3


@pytest.mark.parametrize("bad", [1e9, math.nan, math.inf])
def test_lbfgs_backtracks_after_a_rejected_step(bad: float) -> None:
    optimizer = LBFGS(TARGET)
    x = torch.full_like(TARGET, 0.5)
    loss, gradient = loss_and_gradient(x, TARGET)
    after = optimizer.step(x, loss, gradient)
    back = optimizer.step(after, bad, torch.full_like(x, math.nan))
    assert back.isfinite().all()
    assert (back - x).norm() < 0.5 * (after - x).norm()


def test_steps_do_not_change_earlier_images() -> None:
    for optimizer in (LBFGS(TARGET), Adam(TARGET)):
        x = torch.full_like(TARGET, 0.5)
        for _ in range(3):
            kept = x.clone()
            following = optimizer.step(x, *loss_and_gradient(x, TARGET))
            assert torch.equal(x, kept)
            x = following


def test_adam_finds_the_minimum() -> None:
    assert (descend(Adam(TARGET), TARGET, 200) - TARGET).abs().max() < 0.02
