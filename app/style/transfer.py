"""Paints a photograph in the style of other pictures, coarse to fine, step by step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from app.style import color
from app.style.checkpoint import Checkpoint, ResumeError
from app.style.losses import StyleTransferLoss
from app.style.optimizer import LBFGS, Adam, Optimiser
from app.style.options import Color, Init, StyleOptions
from app.style.pictures import to_image, to_tensor
from app.style.schedule import LARGE_PX, Stage, fit, plan
from app.style.targets import Grams, StyleTargets
from app.style.vgg import VGG19

_PATIENCE_STEPS = 20
_TOLERANCE = 0.005
"""A stage ends early when the loss falls by less than this share over `_PATIENCE_STEPS`."""

_MAX_REJECTED = 5

_COARSE_EMPHASIS = 8.0
"""With alpha and beta the photograph weighs more while the painting is small: what counts then is
the loss at full size, and what is lost before comes back slowly. With a strength, the large forms
that are painted small are wanted, so that it means the same at every size."""

_MIN_STYLE_PX = 16


@dataclass(frozen=True)
class StyleStep:
    """The painting after one step.

    `step` counts over all stages up to at most `steps` and never falls; it jumps where a stage ends
    early. `width` and `height` are those of the present stage. `painting` is float32 (1, 3, H, W),
    RGB, 0..1. The losses are weighted, and those of exactly this picture; but above
    `schedule.LARGE_PX` pixels, where it is a running average, of the newest picture in it.
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
        """Return the painting at its present size: 8 bits, RGB, with the colours asked for."""
        return self._coloured(self.painting)

    def result(self) -> Image.Image:
        """Return the painting as `picture` does, enlarged to the size that was asked for."""
        width, height = fit(*self._content.size, self._options.size)
        return self._coloured(_resized(self.painting, width, height))

    def checkpoint(self) -> Checkpoint:
        """Return what `stylize(..., resume=)` needs to go on from here."""
        return Checkpoint(self.painting, self._stage, self._stage_step, self._options.seed)

    def _coloured(self, painting: Tensor) -> Image.Image:
        image = to_image(painting)
        return color.keep(image, self._content) if self._options.color is Color.CONTENT else image


def stylize(
    content: Image.Image,
    styles: Sequence[Image.Image],
    options: StyleOptions,
    *,
    targets: StyleTargets,
    resume: Checkpoint | None = None,
) -> Iterator[StyleStep]:
    """Paint an RGB photograph in the style of one or more RGB pictures.

    Every step is yielded. The caller may stop at any of them and take its `result()`, or its
    `checkpoint()` to go on from later with `resume`. Equal arguments give equal pictures on one
    host.

    Raises:
        ValueError: the photograph is too long and thin, or `options` do not fit the styles.
        ResumeError: the checkpoint belongs to another plan or seed.
    """
    stages = plan(options, *content.size)
    options.blend(len(styles))
    if options.color is Color.MATCH:
        styles = [color.match(style, content) for style in styles]
    first, done = (resume.stage, resume.step) if resume else (0, 0)
    if not 0 <= first < len(stages):
        raise ResumeError(f"the checkpoint is at stage {first + 1} of {len(stages)}")
    if not 0 <= done <= stages[first].steps:
        raise ResumeError(f"the checkpoint is at step {done} of {stages[first].steps}")
    if resume is not None and resume.seed != options.seed:
        raise ResumeError(f"the checkpoint has seed {resume.seed}, not {options.seed}")
    painting = resume.picture if resume else None
    for index, stage in enumerate(stages[first:], start=first):
        photo = to_tensor(content, (stage.width, stage.height), targets.network.device)
        if painting is None:
            painting = _initial(photo, options)
        painting = _enlarged(painting.to(photo), content, photo, options.init)
        is_literal = options.content_weight is not None
        emphasis = _COARSE_EMPHASIS if is_literal and stage is not stages[-1] else 1.0
        grams = _style_grams(styles, stage, options, targets)
        loss = targets.loss(photo, grams, options, emphasis)
        before = sum(earlier.steps for earlier in stages[:index])
        descent = _descend(
            painting, loss, stage.steps - done, targets.network, _choose(stage, painting)
        )
        for number, painting, losses in descent:
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


def _descend(
    x: Tensor, loss: StyleTransferLoss, steps: int, network: VGG19, optimiser: Optimiser
) -> Iterator[tuple[int, Tensor, tuple[float, float]]]:
    """Yield (number, painting, losses) for each step, until there is nothing left to gain.

    A step that went too far is not shown; after some in a row there is no way down.
    """
    totals: list[float] = []
    rejected = 0
    for number in range(1, steps + 1):
        variable = x.detach().requires_grad_()
        content, style = loss(variable, network)
        (gradient,) = torch.autograd.grad(content + style, variable)
        losses = content.item(), style.item()
        rejected = 0 if optimiser.accepts(sum(losses)) else rejected + 1
        if rejected == _MAX_REJECTED:
            return
        if not rejected:
            totals.append(sum(losses))
            yield number, optimiser.result(x), losses
            if _has_settled(totals):
                return
        x = optimiser.step(x, sum(losses), gradient)


def _has_settled(totals: Sequence[float]) -> bool:
    before, lately = totals[:-_PATIENCE_STEPS], totals[-_PATIENCE_STEPS:]
    return bool(before) and min(lately) > (1 - _TOLERANCE) * min(before)


def _choose(stage: Stage, like: Tensor) -> Optimiser:
    return Adam(like) if stage.pixels > LARGE_PX else LBFGS(like)


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
    """Bring the painting to the photograph's size: what was changed so far is enlarged.

    So the photograph's own detail, which the smaller painting cannot have, is there again; not in
    a painting that began as noise.
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
