"""Keep memory between films, in a process that detects on many."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# mallopt(3): largest block taken from the heap, at most 32 MiB, and how much may stay free at its end
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_HEAP_BLOCK, _HEAP_FREE = 32 << 20, 512 << 20


def keep_freed_memory() -> bool:
    """Let the process keep the memory of one film for the next, and return whether it does.

    glibc returns large blocks to the system as soon as they are free. A detection uses some hundred MiB in such blocks,
    one after the other, and each has to be mapped again, page by page (benchmarks/JOURNAL.md). Without glibc, nothing
    changes. The setting applies to the whole process, so programs call this function and the library does not.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(option, size) == 1
        for option, size in ((_M_MMAP_THRESHOLD, _HEAP_BLOCK), (_M_TRIM_THRESHOLD, _HEAP_FREE))
    )
