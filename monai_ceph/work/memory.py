"""How a process that detects on many films keeps its memory."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# mallopt(3): the largest block that comes from the heap, at most 32 MiB, and how much of it may lie free at its end
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_HEAP_BLOCK, _HEAP_FREE = 32 << 20, 512 << 20


def keep_freed_memory() -> bool:
    """Let the process keep the memory of one film for the next, and return whether it does.

    glibc gives large blocks back to the system as soon as they are free. A detection takes some hundred MiB in such
    blocks, one after the other, and each has to be mapped again, page by page (benchmarks/JOURNAL.md). Nothing changes
    where there is no glibc. The setting holds for the whole process, so that programs call this and the library does
    not.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(option, size) == 1
        for option, size in ((_M_MMAP_THRESHOLD, _HEAP_BLOCK), (_M_TRIM_THRESHOLD, _HEAP_FREE))
    )
