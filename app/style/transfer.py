"""Neural style transfer: paints a photograph in the style of other images, coarse to fine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from app.style import color
from app.style.checkpoint import PaintingCheckpoint, ResumeError
from app.style.images import to_image, to_tensor
from app.style.optimizer import LBFGS, Adam, Optimizer
from app.style.options import Color, Init, StyleOptions
from app.style.schedule import LARGE_PX, Stage, fit, plan
from app.style.targets import Grams, StyleTargets

_PATIENCE_STEPS = 20
_TOLERANCE = 0.005
"""A stage ends early if the loss falls by less than this fraction over `_PATIENCE_STEPS`."""

_MAX_REJECTED = 5

_COARSE_CONTENT_SCALE = 8.0
"""With alpha and beta, the content weighs more in the coarse stages: the goal is the loss at full
size, and content that is lost early returns slowly. With a strength, it does not: the large forms
of the coarse stages are wanted, so that a strength means the same at every size."""

_MIN_STYLE_PX = 16


@dataclass(frozen=True)
class StyleStep:
    """The painting after one step.

    `step` counts over all stages up to at most `steps` and never decreases; it skips ahead when a
    stage ends early. `width` and `height` are those of the current stage. `painting` is float32
    (1, 3, H, W), RGB, 0..1. The weighted losses are those of this painting; above
    `schedule.LARGE_PX` pixels, where it is a running average, those of the newest image in it.
    """

    step: int
    steps: int
    width: int
    height: int
    content_loss: float
    style_loss: float
    painting: Tensor
    _stage: int
    _stage_step: int
    _content: Image.Image
    _options: StyleOptions

    def picture(self) -> Image.Image:
        """Return the painting at its current size: 8 bits, RGB, with the requested colors."""
        return self._with_colors(self.painting)

    def result(self) -> Image.Image:
        """Return the painting as `picture` does, enlarged to the requested size."""
        width, height = fit(*self._content.size, self._options.size)
        return self._with_colors(_resized(self.painting, width, height))

    def checkpoint(self) -> PaintingCheckpoint:
        """Return a checkpoint for `stylize(..., resume=)` to continue from this step."""
        return PaintingCheckpoint(self.painting, self._stage, self._stage_step, self._options.seed)

    def _with_colors(self, painting: Tensor) -> Image.Image:
        image = to_image(painting)
        return (
            color.keep_colors(image, self._content)
            if self._options.color is Color.CONTENT
            else image
        )


def stylize(
    content: Image.Image,
    styles: Sequence[Image.Image],
    options: StyleOptions,
    *,
    targets: StyleTargets,
    resume: PaintingCheckpoint | None = None,
    save_memory: bool = False,
) -> Iterator[StyleStep]:
    """Paint an RGB photograph in the style of one or more RGB images.

    Every step is yielded. The caller may stop at any step and take its `result()`, or its
    `checkpoint()` to continue later with `resume`. Equal arguments give equal results on one host.
    `save_memory` saves memory at the cost of a twelfth more work; it is always on in stages above
    `schedule.LARGE_PX` pixels.

    Raises:
        ValueError: the aspect ratio is too extreme, or `options` do not fit the styles.
        ResumeError: the checkpoint belongs to another plan or seed.
    """
    stages = plan(options, *content.size)
    options.blend(len(styles))
    if options.color is Color.MATCH:
        styles = [color.match_colors(style, content) for style in styles]
    first, done = (resume.stage, resume.step) if resume else (0, 0)
    if not 0 <= first < len(stages):
        raise ResumeError(f"The checkpoint is at stage {first + 1} of {len(stages)}.")
    if not 0 <= done <= stages[first].steps:
        raise ResumeError(f"The checkpoint is at step {done} of {stages[first].steps}.")
    if resume is not None and resume.seed != options.seed:
        raise ResumeError(f"The checkpoint has seed {resume.seed}, not {options.seed}.")
    painting = resume.picture if resume else None
    for index, stage in enumerate(stages[first:], start=first):
        photo = to_tensor(content, (stage.width, stage.height), targets.network.device)
        if painting is None:
            painting = _initial(photo, options)
        painting = _enlarged(painting.to(photo), content, photo, options.init)
        is_literal = options.content_weight is not None
        content_scale = _COARSE_CONTENT_SCALE if is_literal and stage is not stages[-1] else 1.0
        grams = _style_grams(styles, stage, options, targets)
        loss = targets.loss(photo, grams, options, content_scale)
        before = sum(earlier.steps for earlier in stages[:index])
        steps = _optimize(
            painting,
            partial(loss, network=targets.network, recompute=save_memory or _is_large(stage)),
            stage.steps - done,
            _choose_optimizer(stage, painting),
        )
        for number, painting, losses in steps:
            yield StyleStep(
                step=before + done + number,
                steps=sum(each.steps for each in stages),
                width=stage.width,
                height=stage.height,
                content_loss=losses[0],
                style_loss=losses[1],
                painting=painting,
                _stage=index,
                _stage_step=done + number,
                _content=content,
                _options=options,
            )
        done = 0


def _optimize(
    x: Tensor, loss: Callable[[Tensor], tuple[Tensor, Tensor]], steps: int, optimizer: Optimizer
) -> Iterator[tuple[int, Tensor, tuple[float, float]]]:
    """Yield (number, painting, losses) for each step until the loss has converged.

    Rejected steps are not yielded; the optimization ends after several in a row.
    """
    totals: list[float] = []
    rejected = 0
    for number in range(1, steps + 1):
        variable = x.detach().requires_grad_()
        content, style = loss(variable)
        (gradient,) = torch.autograd.grad(content + style, variable)
        losses = content.item(), style.item()
        rejected = 0 if optimizer.accepts(sum(losses)) else rejected + 1
        if rejected == _MAX_REJECTED:
            return
        if not rejected:
            totals.append(sum(losses))
            yield number, optimizer.result(x), losses
            if _has_converged(totals):
                return
        x = optimizer.step(x, sum(losses), gradient)


def _has_converged(totals: Sequence[float]) -> bool:
    before, recent = totals[:-_PATIENCE_STEPS], totals[-_PATIENCE_STEPS:]
    return bool(before) and min(recent) > (1 - _TOLERANCE) * min(before)


def _is_large(stage: Stage) -> bool:
    return stage.pixels > LARGE_PX


def _choose_optimizer(stage: Stage, like: Tensor) -> Optimizer:
    return Adam(like) if _is_large(stage) else LBFGS(like)


def _initial(photo: Tensor, options: StyleOptions) -> Tensor:
    if options.init is Init.CONTENT:
        return photo
    generator = torch.Generator().manual_seed(options.seed)
    return torch.rand(photo.shape, generator=generator).to(photo)


def _resized(painting: Tensor, width: int, height: int) -> Tensor:
    if painting.shape[2:] == (height, width):
        return painting
    antialias = painting.shape[3] > width
    resized = functional.interpolate(painting, (height, width), mode="bicubic", antialias=antialias)
    return resized.clamp(0, 1)


def _enlarged(painting: Tensor, content: Image.Image, photo: Tensor, init: Init) -> Tensor:
    """Enlarge the painting to the photograph's size.

    Only the difference from the photograph is enlarged, so that the photograph's own detail, which
    the smaller painting cannot have, returns. A painting that began as noise is simply enlarged.
    """
    height, width = photo.shape[2:]
    if painting.shape == photo.shape:
        return painting
    if init is Init.NOISE:
        return _resized(painting, width, height)
    before = to_tensor(content, (painting.shape[3], painting.shape[2]), photo.device)
    change = functional.interpolate(painting - before, (height, width), mode="bicubic")
    return (photo + change).clamp(0, 1)


def _style_grams(
    styles: Sequence[Image.Image], stage: Stage, options: StyleOptions, targets: StyleTargets
) -> list[Grams]:
    longest = round(max(stage.width, stage.height) * options.style_scale)
    sizes = [fit(*style.size, longest) for style in styles]
    return [
        targets.grams(style, (max(_MIN_STYLE_PX, width), max(_MIN_STYLE_PX, height)))
        for style, (width, height) in zip(styles, sizes, strict=True)
    ]
