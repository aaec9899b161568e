"""Errors of model serving, one class per cause.

model name --registry.get--> model       UnknownModelError, ModelUnavailableError
model --loader.select--> its engine      SelectionError
bytes --decoder--> image                 QueueFullError (and the image errors of vision)
image --batcher--> probabilities         QueueFullError, InferenceError
both, before the deadline                DeadlineError
"""

import signal

import torch

from app.errors import AtelierError


class UnknownModelError(AtelierError):
    """No model of that name exists."""


class ModelUnavailableError(AtelierError):
    """The model is still loading, or its checkpoint was rejected."""


class ReloadInProgressError(AtelierError):
    """Models are already being loaded."""


class SelectionError(AtelierError):
    """No engine could be selected for a model, or the selected engine cannot be built."""


class QueueFullError(AtelierError):
    """The queue is full. `retry_after_s` estimates when it will have room again."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(AtelierError):
    """The result was not ready before the deadline of the request."""


class InferenceError(AtelierError):
    """The forward pass of the batch failed; the log has the cause."""


def end_process_on_device_error(error: Exception) -> None:
    """End the process with SIGTERM after an accelerator error, because no later call can succeed.

    The supervisor restarts the process. Running out of memory is not such an error.
    """
    if isinstance(error, torch.AcceleratorError):
        signal.raise_signal(signal.SIGTERM)
