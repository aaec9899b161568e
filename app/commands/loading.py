"""Loading of the large modules that a command needs and others do without."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import modules without looking for garbage, of which imports leave none.

    The search takes a fifth of the time that PyTorch takes to load. Whatever is loaded is then
    left out of later searches.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
