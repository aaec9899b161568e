import math

import pytest
import torch
from torch import Tensor

from app.style.optimiser import LBFGS, Adam, Optimiser

TARGET = torch.linspace(0.1, 0.9, 48).view(1, 3, 4, 4)
CURVATURE = torch.logspace(0, 3, 48).view(1, 3, 4, 4)


def loss_and_gradient(x: Tensor, target: Tensor) -> tuple[float, Tensor]:
    difference = x - target
    return (CURVATURE * difference.square()).sum().item() / 2, CURVATURE * difference


def descend(optimiser: Optimiser, target: Tensor, steps: int) -> Tensor:
    x = torch.full_like(target, 0.5)
    for _ in range(steps):
        x = optimiser.step(x, *loss_and_gradient(x, target))
    return optimiser.result(x)


def test_lbfgs_finds_the_minimum_of_an_ill_conditioned_quadratic() -> None:
    found = descend(LBFGS(TARGET, history=10), TARGET, 150)
    assert (found - TARGET).abs().max() < 1e-3


def test_lbfgs_takes_the_same_steps_as_pytorchs() -> None:
    ours = LBFGS(TARGET, history=5)
    x = torch.full_like(TARGET, 0.5)
    theirs = x.clone().requires_grad_()
    peer = torch.optim.LBFGS([theirs], lr=1, max_iter=1, history_size=5, tolerance_change=0)
    for number in range(12):
        loss, gradient = loss_and_gradient(x, TARGET)

        def closure(gradient: Tensor = gradient) -> Tensor:
            theirs.grad = gradient.clone()
            return torch.tensor(0.0)

        torch.optim.LBFGS.step(peer, closure)  # type: ignore[no-untyped-call]
        x = ours.step(x, loss, gradient)
        if number == 0:  # the first step, without any curvature, is a choice
            with torch.no_grad():
                theirs.copy_(x)
            peer.state[theirs].update(d=x.flatten() - 0.5, t=1.0)
    assert (x - theirs.detach()).abs().max() < 1e-3


def test_lbfgs_stays_in_range_and_finds_the_constrained_minimum() -> None:
    target = TARGET * 2 - 0.5
    found = descend(LBFGS(target, history=10), target, 150)
    assert (found - target.clamp(0, 1)).abs().max() < 1e-3


@pytest.mark.parametrize("bad", [1e9, math.nan, math.inf])
def test_lbfgs_goes_back_after_a_step_too_far(bad: float) -> None:
    optimiser = LBFGS(TARGET)
    x = torch.full_like(TARGET, 0.5)
    loss, gradient = loss_and_gradient(x, TARGET)
    after = optimiser.step(x, loss, gradient)
    back = optimiser.step(after, bad, torch.full_like(x, math.nan))
    assert back.isfinite().all()
    assert (back - x).norm() < 0.5 * (after - x).norm()


def test_steps_leave_earlier_pictures_alone() -> None:
    for optimiser in (LBFGS(TARGET), Adam(TARGET)):
        x = torch.full_like(TARGET, 0.5)
        for _ in range(3):
            kept = x.clone()
            following = optimiser.step(x, *loss_and_gradient(x, TARGET))
            assert torch.equal(x, kept)
            x = following


def test_adam_finds_the_minimum() -> None:
    assert (descend(Adam(TARGET), TARGET, 200) - TARGET).abs().max() < 0.02
