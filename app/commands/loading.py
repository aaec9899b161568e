"""Lazy imports of large modules that only some commands need."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Disable garbage collection during imports, which leave no garbage.

    Garbage collection takes a fifth of the time of PyTorch's import. The imported objects are then
    excluded from later collections.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
