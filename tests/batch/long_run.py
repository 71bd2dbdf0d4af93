"""A run in a process of its own that tests may kill: ``python long_run.py FILMS OUT LOG SECONDS WORKERS``."""

from __future__ import annotations

import resource
import sys
from functools import partial
from pathlib import Path

from fakes import FakeDetector, read_nothing

from monai_ceph.batch import Options, detect_films, orderly_end


def main() -> int:
    films, out, log = map(Path, sys.argv[1:4])
    seconds, workers = float(sys.argv[4]), int(sys.argv[5])
    make = partial(FakeDetector, log if log.name != "-" else None, seconds)
    options = Options(formats=frozenset({"csv"} if log.name == "-" else {"csv", "json"}), workers=workers, names="uid")
    try:
        with orderly_end() as interrupted:
            summary = detect_films([films], out, make, options, interrupted=interrupted, read=read_nothing)
    except KeyboardInterrupt:
        return 130
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return int(summary.in_errors > 0)


if __name__ == "__main__":
    sys.exit(main())
