"""Two ways down: L-BFGS, and Adam for pictures whose L-BFGS history would not fit.

A step takes the picture with its loss and gradient and returns the next picture, a new tensor, so
that whoever holds the old one may keep it. Pictures are clipped to 0..1: what counts is the picture
that is delivered, and values out of range are lost there.
"""

from typing import Protocol

import torch
from torch import Tensor

_FIRST_STEP = 0.01
"""Root mean square of the first change, before anything is known of the curvature."""

_WORSE = 1.5
"""A loss that grows by this factor was a step too far."""


class Optimiser(Protocol):
    """Moves a picture down its loss."""

    def step(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """Return the next picture."""
        ...

    def result(self, x: Tensor) -> Tensor:
        """Return the best picture known when the present one is `x`."""
        ...


class LBFGS:
    """Projected limited-memory BFGS without a line search.

    The inverse Hessian has the compact form of Byrd, Nocedal and Schnabel, "Representations of
    quasi-Newton matrices and their use in limited memory methods", 1994: two (m, n) matrices hold
    the last m steps, so that a step is a few matrix-vector products; the (m, m) systems are solved
    on the CPU in float64. Values at a bound that the gradient pushes outwards are held there, and
    do not take part in the step.
    """

    def __init__(self, like: Tensor, history: int = 20) -> None:
        self._steps = like.new_empty(history, like.numel())
        self._changes = like.new_empty(history, like.numel())
        self._sy = torch.zeros(history, history, dtype=torch.float64)  # step_i . change_j
        self._yy = torch.zeros(history, history, dtype=torch.float64)  # change_i . change_j
        self._order: list[int] = []  # rows in use, oldest first
        self._last: tuple[Tensor, float, Tensor] | None = None

    def step(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """Return the next picture; after a step that went too far, one half way back."""
        if self._last is not None and not loss < _WORSE * self._last[1]:
            self._order.clear()
            return torch.lerp(self._last[0], x, 0.25).clamp(0, 1)
        held = ((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0))
        g = gradient.masked_fill(held, 0).flatten()
        if self._last is not None:
            self._remember((x - self._last[0]).flatten(), g - self._last[2])
        self._last = x, loss, g
        direction = self._direction(g).view_as(x).masked_fill(held, 0)
        return (x + direction).clamp(0, 1)

    def result(self, x: Tensor) -> Tensor:
        """Return the picture itself."""
        return x

    def _remember(self, step: Tensor, change: Tensor) -> None:
        if step.dot(change) <= 1e-10 * change.dot(change):
            return
        full = len(self._order) == len(self._steps)
        row = self._order.pop(0) if full else len(self._order)
        self._order.append(row)
        n = len(self._order)
        self._steps[row], self._changes[row] = step, change
        self._sy[:n, row] = (self._steps[:n] @ change).double().cpu()
        self._sy[row, :n] = (self._changes[:n] @ step).double().cpu()
        self._yy[row, :n] = self._yy[:n, row] = (self._changes[:n] @ change).double().cpu()

    def _direction(self, g: Tensor) -> Tensor:
        """Minus the inverse Hessian times the gradient."""
        if not self._order:
            return -g * (_FIRST_STEP / g.square().mean().sqrt().clamp_min(1e-30))
        n, order = len(self._order), self._order
        yg = (self._changes[:n] @ g).double().cpu()[order]
        sg = (self._steps[:n] @ g).double().cpu()[order]
        sy, yy = (matrix[order][:, order] for matrix in (self._sy, self._yy))
        gamma = sy[-1, -1] / yy[-1, -1]
        upper = sy.triu()
        p = torch.linalg.solve_triangular(upper, sg[:, None], upper=True)
        right = sy.diag().diag() @ p + gamma * (yy @ p - yg[:, None])
        weights = torch.empty(2, n, dtype=torch.float64)
        weights[0, order] = torch.linalg.solve_triangular(upper.T, right, upper=False)[:, 0]
        weights[1, order] = -gamma * p[:, 0]
        of_steps, of_changes = weights.to(g)
        direction: Tensor = -gamma.item() * g
        return direction.sub_(of_steps @ self._steps[:n]).sub_(of_changes @ self._changes[:n])


class Adam:
    """Adam (Kingma and Ba 2015) with a running average of the pictures as its result."""

    def __init__(self, like: Tensor, rate: float = 0.02) -> None:
        self._rate = rate
        self._mean = torch.zeros_like(like)
        self._square = torch.zeros_like(like)
        self._average = torch.zeros_like(like)
        self._count = 0

    def step(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """Return the next picture."""
        del loss
        self._count += 1
        self._mean.lerp_(gradient, 1 - 0.9)
        self._square.lerp_(gradient.square(), 1 - 0.99)
        self._average.lerp_(x, 1 - 0.9)
        mean = self._mean / (1 - 0.9**self._count)
        spread = (self._square / (1 - 0.99**self._count)).sqrt_().add_(1e-12)
        return (x - self._rate * mean / spread).clamp_(0, 1)

    def result(self, x: Tensor) -> Tensor:
        """Return the average of the last pictures."""
        return x if not self._count else self._average / (1 - 0.9**self._count)
