"""Settings of the C library's heap (glibc only).

By default, the tensors of a painting or training step, some tens of megabytes each, return to the
kernel one by one, and the next step has to fault in fresh zero pages. Keeping freed memory in the
process avoids that.
"""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from <malloc.h>
_MAX_TENSOR_BYTES = 64 << 20
_MAX_RETAINED_BYTES = (1 << 31) - 1


def retain_freed_memory() -> None:
    """Keep up to 2 GiB of freed memory in this process, from tensors of up to 64 MiB each."""
    with contextlib.suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _MAX_TENSOR_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _MAX_RETAINED_BYTES)


def release_free_memory() -> None:
    """Return all free memory to the kernel."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
