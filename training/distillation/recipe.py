"""The recipe of a distillation."""

from dataclasses import dataclass, field

_TEACHER_MULTIPLE_PX = 32
_SMALLEST_PX = 32  # the student's last layers reduce this to one pixel


@dataclass(frozen=True)
class Recipe:
    """Options of the distillation. Each is also an option of the command line.

    An epoch shows one view of each training photograph. The sizes are used one after another, each
    for its number of epochs, under one learning rate schedule.
    """

    sizes_px: tuple[int, ...] = field(
        metadata={"help": "sides of the student's input, one after another"}
    )
    epochs: tuple[int, ...] = field(metadata={"help": "epochs at each of these sizes"})
    batch_size: int = field(metadata={"help": "views per step"})
    learning_rate: float = field(metadata={"help": "peak of the one-cycle schedule"})
    weight_decay: float = field(metadata={"help": "weight decay"})
    warmup: float = field(metadata={"help": "fraction of the schedule before the peak, 0..1"})
    averaging_decay: float = field(metadata={"help": "of the averaged weights, per step"})
    temperature: float = field(metadata={"help": "softens both distributions before comparing"})
    label_weight: float = field(metadata={"help": "of cat or dog, against the teacher's answer"})
    lesson_count: int = field(metadata={"help": "views of each photograph, each taught once"})
    view_px: int = field(metadata={"help": "side of these views"})
    min_area: float = field(metadata={"help": "smallest part of a photograph in a view, 0..1"})
    blended: float = field(metadata={"help": "part of the views that blend two, 0..1"})
    teacher_px: int = field(metadata={"help": "side of the teacher's input"})
    compare_every: int = field(metadata={"help": "epochs between two validations"})

    def __post_init__(self) -> None:
        if not len(self.sizes_px) == len(self.epochs) > 0:
            raise ValueError("as many epochs as sizes are needed")
        if min(*self.sizes_px, self.view_px) < _SMALLEST_PX:
            raise ValueError(f"sizes must be at least {_SMALLEST_PX} px")
        if min(*self.epochs, self.batch_size, self.lesson_count, self.compare_every) < 1:
            raise ValueError("epochs and counts must be at least 1")
        if self.teacher_px < 1 or self.teacher_px % _TEACHER_MULTIPLE_PX:
            raise ValueError(f"the teacher's side must be a multiple of {_TEACHER_MULTIPLE_PX} px")
        if not (0 < self.min_area <= 1 and 0 <= self.blended <= 1):
            raise ValueError("the smallest area and the blended part must be in 0..1")
        if not (0 <= self.warmup < 1 and 0 <= self.averaging_decay < 1):
            raise ValueError("warmup and averaging decay must be in 0..1")
        if min(self.learning_rate, self.temperature) <= 0:
            raise ValueError("learning rate and temperature must be positive")
        if min(self.weight_decay, self.label_weight) < 0:
            raise ValueError("weight decay and label weight must not be negative")

    @property
    def epoch_count(self) -> int:
        """Epochs of all sizes together."""
        return sum(self.epochs)

    def side_px(self, epoch: int) -> int:
        """Side of the student's input in an epoch, counted from 1."""
        for side_px, count in zip(self.sizes_px, self.epochs, strict=True):
            if epoch <= count:
                return side_px
            epoch -= count
        raise ValueError(f"there are only {self.epoch_count} epochs")

    def compares_after(self, epoch: int) -> bool:
        """Return whether student and teacher are compared after an epoch, as at each size's end."""
        last = epoch == self.epoch_count or self.side_px(epoch) != self.side_px(epoch + 1)
        return last or epoch % self.compare_every == 0
