"""The C library's heap: what one step of long work frees is kept for the next.

Otherwise the tensors of a step of painting or training, some tens of megabytes each, go back to the
kernel one by one, and come back as pages of zeros that have to be faulted in. Only glibc can be
told.
"""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_LARGEST_KEPT = 64 << 20
_MOST_KEPT = (1 << 31) - 1


def keep_freed() -> None:
    """Keep up to 2 GiB of freed memory in this process, of tensors up to 64 MiB each."""
    with contextlib.suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        libc.mallopt(_TRIM_THRESHOLD, _MOST_KEPT)


def give_back() -> None:
    """Give the kernel all that is free."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
