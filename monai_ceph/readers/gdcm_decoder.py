"""Decoding in a process of its own, for decoders that do not survive damaged data."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.codestream import CodestreamHeader

# without the site packages of this Python, whose start-up code takes longer than GDCM; the worker is told where GDCM is
_PROGRAM = (sys.executable, "-I", "-S")
_WORKER = Path(__file__).with_name("gdcm_worker.py")
# far more than a decoder needs, and little enough to go on soon after one that hangs
_SECONDS, _SECONDS_PER_MEGAPIXEL = 10, 2
_MEMORY = 512 * 2**20


@cache
def gdcm_folder() -> str | None:
    """The folder that GDCM is imported from, None if it is not installed."""
    found = find_spec("gdcm")
    return str(Path(found.origin).parent) if found and found.origin else None


def decode_with_gdcm(data: bytes, syntax: str, photometric: str, header: CodestreamHeader) -> np.ndarray:
    """Decode one frame of JPEG or JPEG-LS data with GDCM, in another process.

    It costs about 60 ms more than in this one. A crash, a hang or a hunger for memory ends the other process.

    Args:
        data: the compressed frame.
        syntax: the transfer syntax UID.
        photometric: the PhotometricInterpretation, "RGB" or "YBR_FULL" and the like if there are three samples.
        header: what the data announce.

    Returns:
        The samples as unsigned 8 or 16 bit integers, (row, column) or (row, column, sample).

    Raises:
        ReadError: GDCM cannot decode the frame.
    """
    shape = (header.rows, header.columns, header.samples)[: 3 if header.samples > 1 else 2]
    dtype = np.dtype(np.uint8 if header.bits <= 8 else np.uint16)
    pixels = header.rows * header.columns
    expected = pixels * header.samples * dtype.itemsize
    seconds = _SECONDS + int(_SECONDS_PER_MEGAPIXEL * pixels / 1e6)
    frame = {
        "folder": gdcm_folder(),
        "syntax": str(syntax),
        "photometric": photometric,
        "rows": header.rows,
        "columns": header.columns,
        "samples": header.samples,
        "bits": header.bits,
        "memory": _MEMORY + 8 * expected + 4 * len(data),
        "seconds": seconds,
    }
    try:
        done = subprocess.run(
            [*_PROGRAM, str(_WORKER), json.dumps(frame)],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=6 * seconds,  # of the clock; the worker limits itself to the seconds of the processor
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReadError("damaged pixel data, the decoder did not come to an end") from None
    except OSError as error:
        raise ReadError(f"the decoder cannot be started: {error.strerror}") from None
    if done.returncode != 0 or len(done.stdout) != expected:
        raise ReadError("damaged or truncated pixel data, GDCM cannot decode them")
    return np.frombuffer(done.stdout, dtype).reshape(shape)
