"""Counts how often GDCM crashes on damaged frames. This is why it runs in a separate process.

``python benchmarks/gdcm_crashes.py`` compresses a small picture with every codec that GDCM decodes here, damages
copies, and counts how often the decoder's process is killed by a signal. Frames that the readers refuse before decoding
are counted separately.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from collections import Counter

from fuzz import damaged
from sample_files import COMPRESSED, encode, picture

from monai_ceph.errors import ReadError
from monai_ceph.readers import gdcm_decoder
from monai_ceph.readers.codestream import codestream_header

KINDS = ("jpeg-extended", "jpeg-lossless", "jpeg-lossless-sv1", "jpeg-ls", "jpeg-ls-near")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="damaged frames per codec")
    args = parser.parse_args()
    print("| codec | frames | refused before | decoded | refused | crashed |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        frame = encode(kind, picture(), 12)
        counts: Counter[str] = Counter(outcome(kind, damaged(frame, random.Random(n))) for n in range(args.count))
        columns = (counts[name] for name in ("before", "decoded", "refused", "crashed"))
        print(f"| {kind} | {args.count} | " + " | ".join(map(str, columns)) + " |", flush=True)


def outcome(kind: str, frame: bytes) -> str:
    """Decode one frame as the readers do, and return the outcome as text."""
    try:
        header = codestream_header(frame)
    except ReadError:
        return "before"
    if (header.rows, header.columns, header.samples) != (64, 80, 1) or header.bits > 16:
        return "before"
    code = run(kind, frame, header.bits)
    return "crashed" if code < 0 else "refused" if code else "decoded"


def run(kind: str, frame: bytes, bits: int) -> int:
    """Return the exit code of the decoder, negative for a signal."""
    arguments = {
        "folder": gdcm_decoder.gdcm_folder(),
        "syntax": str(COMPRESSED[kind]),
        "photometric": "MONOCHROME2",
        "rows": 64,
        "columns": 80,
        "samples": 1,
        "bits": bits,
        "memory": 2**30,
        "seconds": 10,
    }
    command = [*gdcm_decoder._PROGRAM, str(gdcm_decoder._WORKER), json.dumps(arguments)]
    return subprocess.run(command, input=frame, capture_output=True, check=False).returncode


if __name__ == "__main__":
    main()
