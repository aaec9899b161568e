"""Optimizers: L-BFGS, and Adam for images whose L-BFGS history does not fit into memory.

A step takes the image with its loss and gradient and returns the next image as a new tensor, so
that callers may keep the old one. Images are clipped to 0..1, because values out of range are lost
in the delivered image.
"""

from typing import Protocol

import torch
from torch import Tensor

from app.style.schedule import HISTORY
from app.style.spectrum import Spectrum

_FIRST_STEP = 0.001
"""Root mean square of the first step, before any curvature is known."""

_STEP_LENGTH = 0.5
"""Fraction of a quasi-Newton step; full steps overshoot, because the loss has kinks."""

_MAX_LOSS_GROWTH = 1.1
"""A step that increases the loss by more than this factor is rejected."""

_DECAY = 0.6
"""Weight of a step in the scale of a band, relative to the next step."""

_MAX_SCALE_RATIO = 50
"""Maximum ratio between the scale of a band and the scale of all bands together."""


class Optimizer(Protocol):
    """Minimizes the loss of an image, step by step."""

    def accepts(self, loss: float) -> bool:
        """Return whether to keep the image with this loss rather than backtrack."""
        ...

    def step(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """Return the next image."""
        ...

    def result(self, x: Tensor) -> Tensor:
        """Return the best known image; `x` is the current one."""
        ...


class LBFGS:
    """Projected limited-memory BFGS without a line search, preconditioned by frequency.

    The inverse Hessian has the compact form of Byrd, Nocedal and Schnabel, "Representations of
    quasi-Newton matrices and their use in limited memory methods", 1994, on Fourier coefficients:
    two (m, n) matrices hold the last m steps, so that a step takes a few matrix-vector products;
    the (m, m) systems are solved on the CPU in float64. The initial matrix is a diagonal with one
    value per band of frequencies: |step| / |change of the gradient| of the last steps, the
    geometric mean of the two step lengths of Barzilai and Borwein (1988). Values at a bound
    that the gradient pushes outwards are held there and excluded from the step.
    """

    def __init__(self, like: Tensor, history: int = HISTORY, bands: int = 12) -> None:
        self._spectrum = Spectrum(like, bands)
        size = sum(self._spectrum.counts)
        self._steps = like.new_empty(history, size)
        self._changes = like.new_empty(history, size)
        self._sy = torch.zeros(history, history, dtype=torch.float64)  # step_i . change_j, i <= j
        self._yy = torch.zeros(bands, history, history, dtype=torch.float64)  # change_i . change_j
        self._sg = torch.zeros(history, dtype=torch.float64)  # step_i . gradient
        self._yg = torch.zeros(bands, history, dtype=torch.float64)  # change_i . gradient
        self._squares = torch.zeros(2, bands, dtype=torch.float64)  # of steps and of changes
        self._order: list[int] = []  # rows in use, oldest first
        self._last: tuple[Tensor, float, Tensor] | None = None
        self._backtracked = False

    def accepts(self, loss: float) -> bool:
        """Return whether the last step did not increase the loss too much."""
        return self._last is None or loss < _MAX_LOSS_GROWTH * self._last[1]

    def step(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """Return the next image; after a rejected step, backtrack most of the way."""
        if self._last is not None and not self.accepts(loss):
            if self._backtracked:
                self._order.clear()
            self._backtracked = True
            return torch.lerp(self._last[0], x, 0.25).clamp(0, 1)
        self._backtracked = False
        held = ((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0))
        g = self._spectrum.to_coefficients(gradient.masked_fill(held, 0))
        if self._last is not None:
            self._update_history(
                self._spectrum.to_coefficients(x - self._last[0]), g - self._last[2], g
            )
        self._last = x, loss, g
        direction = self._spectrum.to_image(self._direction(g)).masked_fill(held, 0)
        return (x + direction).clamp(0, 1)

    def result(self, x: Tensor) -> Tensor:
        """Return the image itself."""
        return x

    def _update_history(self, step: Tensor, change: Tensor, g: Tensor) -> None:
        """Store the last step and the products of all stored steps with `g`.

        Products with `change` are the differences from the previous products with `g`.
        """
        curvature = step.dot(change).item()
        squares = self._squares_of(step), self._squares_of(change)
        row = None
        if curvature > 1e-10 * squares[1].sum().item():
            row = self._next_row()
            self._steps[row], self._changes[row] = step, change
            self._squares.mul_(_DECAY).add_(torch.stack(squares))
        n = len(self._order)
        sg, yg = self._products(g)
        if row is not None:
            self._sy[:n, row] = sg - self._sg[:n]
            self._yy[:, :n, row] = self._yy[:, row, :n] = yg - self._yg[:, :n]
            self._sy[row, row], self._yy[:, row, row] = curvature, squares[1]
        self._sg[:n], self._yg[:, :n] = sg, yg

    def _next_row(self) -> int:
        full = len(self._order) == len(self._steps)
        row = self._order.pop(0) if full else len(self._order)
        self._order.append(row)
        return row

    def _direction(self, g: Tensor) -> Tensor:
        """Return a fraction of minus the inverse Hessian times the gradient."""
        if not self._order:
            return -g * (_FIRST_STEP / g.square().mean().sqrt().clamp_min(1e-30))
        n, order = len(self._order), self._order
        scale = self._scale()
        sg, yg = self._sg[order], torch.mv(self._yg.T, scale)[order]
        sy = self._sy[order][:, order]
        yy = torch.einsum("k,kij->ij", scale, self._yy)[order][:, order]
        upper = sy.triu()
        p = torch.linalg.solve_triangular(upper, sg[:, None], upper=True)
        right = sy.diag().diag() @ p + yy @ p - yg[:, None]
        weights = torch.empty(2, n, dtype=torch.float64)
        weights[0, order] = torch.linalg.solve_triangular(upper.T, right, upper=False)[:, 0]
        weights[1, order] = p[:, 0]
        of_steps, of_changes = weights.to(g)
        scales = self._spectrum.spread(scale.to(g))
        direction: Tensor = (
            scales * (of_changes @ self._changes[:n] - g) - of_steps @ self._steps[:n]
        )
        return direction * _STEP_LENGTH

    def _products(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products of `g` with the n rows in use: (n,) steps, (bands, n) changes."""
        n = len(self._order)
        pieces = zip(self._bands(self._changes[:n]), self._bands(g), strict=True)
        of_changes = torch.stack([changes @ piece for changes, piece in pieces])
        return (self._steps[:n] @ g).double().cpu(), of_changes.double().cpu()

    def _squares_of(self, coefficients: Tensor) -> Tensor:
        squares = torch.stack([piece.dot(piece) for piece in self._bands(coefficients)])
        return squares.double().cpu()

    def _scale(self) -> Tensor:
        """Return the diagonal of the initial inverse Hessian: float64 (bands,)."""
        of_steps, of_changes = self._squares
        overall = (of_steps.sum() / of_changes.sum()).sqrt()
        scale = torch.where(of_changes > 0, (of_steps / of_changes).sqrt(), overall)
        return scale.clamp(overall / _MAX_SCALE_RATIO, overall * _MAX_SCALE_RATIO)

    def _bands(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        return torch.split(coefficients, self._spectrum.counts, dim=-1)


class Adam:
    """Adam (Kingma and Ba 2015), whose result is a running average of the images."""

    def __init__(self, like: Tensor, rate: float = 0.02) -> None:
        self._rate = rate
        self._mean = torch.zeros_like(like)
        self._square = torch.zeros_like(like)
        self._average = torch.zeros_like(like)
        self._count = 0

    def accepts(self, loss: float) -> bool:
        """Accept every step, because the result is an average."""
        del loss
        return True

    def step(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """Return the next image."""
        del loss
        self._count += 1
        self._mean.lerp_(gradient, 1 - 0.9)
        self._square.lerp_(gradient.square(), 1 - 0.99)
        self._average.lerp_(x, 1 - 0.9)
        mean = self._mean / (1 - 0.9**self._count)
        spread = (self._square / (1 - 0.99**self._count)).sqrt_().add_(1e-12)
        return (x - self._rate * mean / spread).clamp_(0, 1)

    def result(self, x: Tensor) -> Tensor:
        """Return the average of the last images, including `x`."""
        return torch.lerp(self._average, x, 1 - 0.9) / (1 - 0.9 ** (self._count + 1))
