from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# blocks like those of a detection, taken and given back again and again
PROGRAM = """
import ctypes, resource, sys
from monai_ceph.work.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def film():
    blocks = [libc.malloc(30 << 20) for _ in range(4)]
    for block in blocks:
        ctypes.memset(ctypes.c_void_p(block), 1, 30 << 20)
    for block in blocks:
        libc.free(block)
film()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
film()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone gives memory back and is told not to"
)
def test_a_second_film_takes_the_memory_of_the_first() -> None:
    pages = 4 * (30 << 20) // 4096
    assert page_faults("leave") > pages // 8
    assert page_faults("keep") < pages // 100
