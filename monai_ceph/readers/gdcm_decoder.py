"""Decode JPEG and JPEG-LS frames with GDCM in a separate process, because GDCM can crash on damaged data."""

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

# without site-packages, whose start-up takes longer than GDCM itself; the worker is told where GDCM is
_PROGRAM = (sys.executable, "-I", "-S")
_WORKER = Path(__file__).with_name("gdcm_worker.py")
# far more time than a decoder needs, but short enough that a hanging one does not hold up the run
_SECONDS, _SECONDS_PER_MEGAPIXEL = 10, 2
_MEMORY = 512 * 2**20


@cache
def gdcm_folder() -> str | None:
    """Return the folder that GDCM is imported from; None if it is not installed."""
    found = find_spec("gdcm")
    return str(Path(found.origin).parent) if found and found.origin else None


def decode_with_gdcm(data: bytes, syntax: str, photometric: str, header: CodestreamHeader) -> np.ndarray:
    """Decode one frame of JPEG or JPEG-LS data with GDCM, in another process.

    The process costs about 60 ms. A crash, a hang or too much memory ends only that process.

    Args:
        data: the compressed frame.
        syntax: the transfer syntax UID.
        photometric: the PhotometricInterpretation; with three samples one such as "RGB" or "YBR_FULL".
        header: the header of the compressed data.

    Returns:
        The samples as unsigned 8 or 16 bit integers, (row, column) or (row, column, sample).

    Raises:
        ReadError: if GDCM cannot decode the frame.
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
            timeout=6 * seconds,  # wall clock; the worker limits its own processor time to `seconds`
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReadError("damaged pixel data: the decoder did not finish in time") from None
    except OSError as error:
        raise ReadError(f"the GDCM decoder cannot be started: {error.strerror}") from None
    if done.returncode != 0 or len(done.stdout) != expected:
        raise ReadError("damaged or truncated pixel data: GDCM cannot decode them")
    return np.frombuffer(done.stdout, dtype).reshape(shape)
