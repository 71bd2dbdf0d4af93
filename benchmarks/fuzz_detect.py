"""Runs `monai-ceph detect` on damaged files: each must get one state, and each refused file a clear row in errors.csv.

``python benchmarks/fuzz_detect.py`` damages ``--count`` small valid files of every kind, as `fuzz.py` does, and runs
a batch on them, with a detector that answers at once instead of the real one. It prints how many films got each state,
and every row of errors.csv that is not clear: one with several lines, without a kind or cause, or with a path.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from batch import Instant
from fuzz import damaged_file, write_samples
from sample_files import UID

from monai_ceph.batch import Options, detect_films

_CLEAR = re.compile(r"(unreadable|failed): [^\n]{5,300}\.")


def fuzz_detect(count: int, seed: int, folder: Path, workers: int = 1) -> tuple[Counter[str], list[str]]:
    """Run a batch on damaged files.

    Args:
        count: number of files.
        seed: seed of the damage.
        folder: an empty folder, for films and results.
        workers: number of processes.

    Returns:
        How many films got each state, and a list of faults.
    """
    (folder / "samples").mkdir()
    (folder / "films").mkdir()
    samples = sorted(write_samples(folder / "samples"))
    for number in range(count):
        _, suffix, content = damaged_file(samples, seed, number)
        # a different UID for each, of the same length: otherwise all would be the same image
        content = content.replace(UID.encode(), f"{UID[:-5]}{10_000 + number % 90_000}".encode())
        (folder / "films" / f"{number:06}.{suffix}").write_bytes(content)
    ended: list[str] = []
    summary = detect_films(
        [folder / "films"],
        folder / "out",
        Instant,
        Options(frozenset({"csv", "json", "sr", "gsps"}), workers=workers),
        on_film=lambda name, outcome: ended.append(name),
    )
    with (folder / "out" / "errors.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wrong = [f"{row['film']}: {row['error']!r}" for row in rows if not _CLEAR.fullmatch(row["error"])]
    wrong += [f"{row['film']}: names its folder" for row in rows if str(folder / "films") in row["error"]]
    if len(ended) != summary.films:
        wrong.append(f"{summary.films} films, and {len(ended)} ends")
    if len(rows) != summary.in_errors:
        wrong.append(f"{summary.in_errors} films without landmarks, and {len(rows)} rows")
    return Counter(summary.states), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        states, wrong = fuzz_detect(options.count, options.seed, Path(folder), options.workers)
    print(", ".join(f"{count} {state}" for state, count in states.items()))
    print("\n".join(wrong) or "every row is clear")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
