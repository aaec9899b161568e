"""What can go wrong between a decoded picture and its prediction, one class per cause.

model name --registry.get--> model       UnknownModelError, ModelUnavailableError
model --loader.select--> its engine      SelectionError
bytes --decoder--> picture               QueueFullError (and vision's image errors)
picture --batcher--> probabilities       QueueFullError, InferenceError
both, within the time there is           DeadlineError
"""

import signal

import torch

from app.errors import AtelierError


class UnknownModelError(AtelierError):
    """No model of that name exists."""


class ModelUnavailableError(AtelierError):
    """The model exists but cannot answer: it is still loading, or its checkpoint was refused."""


class ReloadInProgressError(AtelierError):
    """Models are being loaded already."""


class SelectionError(AtelierError):
    """No engine could be selected for a model, or the one that was selected cannot be built."""


class QueueFullError(AtelierError):
    """More work is waiting than the service accepts; about when there may be room again, s."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(AtelierError):
    """The answer was not ready when its client no longer waited for it."""


class InferenceError(AtelierError):
    """The forward pass of the batch failed; the cause is in the log."""


def end_if_poisoned(error: Exception) -> None:
    """After an error of the accelerator no call can succeed: end the process as by SIGTERM.

    The supervisor starts it again. Out of memory is no such error.
    """
    if isinstance(error, torch.AcceleratorError):
        signal.raise_signal(signal.SIGTERM)
