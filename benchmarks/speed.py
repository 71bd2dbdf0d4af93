"""Seconds per film of every part of a detection, start-up time and peak memory.

Prints a markdown table: ``python benchmarks/speed.py --threads 2`` draws synthetic DICOM films of 1935 x 2400 pixels;
your own films and folders can be named instead. The first film is for warming up and is not counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

PARTS = ("reading", "framing", "stage_1", "stage_2", "decoding")


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    import resource

    # Linux counts KiB, macOS bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def page_faults() -> int:
    """Return how many pages of memory this process has requested so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds per film, start-up time and peak memory.")
    parser.add_argument("paths", nargs="*", type=Path, help="films and folders (default: synthetic DICOM films)")
    parser.add_argument("--films", type=int, default=10, help="counted films, after one that warms up")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads (default: CPUs)")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--give-back", action="store_true", help="as in a program that does not call keep_freed_memory")
    options = parser.parse_args()
    if options.films < 1:
        parser.error("--films must be 1 or more")

    # another process draws the films, so that the figures do not include its time and memory
    with tempfile.TemporaryDirectory() as folder:
        paths = options.paths
        if not paths:
            import subprocess

            command = [sys.executable, "-m", "monai_ceph", "phantom", folder, "--count", str(min(options.films + 1, 5))]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            paths = [Path(folder)]
        start = time.perf_counter()
        import torch

        torch.set_num_threads(options.threads)
        from monai_ceph import CephalogramDetector
        from monai_ceph.work.memory import keep_freed_memory

        if not options.give_back:
            # the command line does the same
            keep_freed_memory()
        imported = time.perf_counter()
        detector = CephalogramDetector(options.device, overlays=options.config)
        loaded = time.perf_counter()
        base = peak_memory()

        from monai_ceph.readers import find_radiographs

        found = find_radiographs(paths)
        if not found:
            parser.error(f"no film in {', '.join(map(str, paths))}")
        detections = []
        for index in range(options.films + 1):
            detection = detector(found[index % len(found)], force=True)
            if index:
                detections.append(detection)
            else:
                faults = page_faults()
        peak, faults = peak_memory(), (page_faults() - faults) // options.films

    columns, rows = detections[0].columns, detections[0].rows
    print(
        f"{processor()}, {os.cpu_count()} CPUs, {options.threads} threads, torch {torch.__version__}, "
        f"{options.device}; {columns} x {rows} pixels, {Path(found[0]).suffix.lstrip('.') or 'no suffix'}; median of "
        f"{len(detections)} films after one.\n"
    )
    print("| part | seconds per film |\n|---|---|")
    for part in PARTS:
        print(f"| {part} | {statistics.median(each.seconds[part] for each in detections):.3f} |")
    print(f"| **all** | **{statistics.median(sum(each.seconds.values()) for each in detections):.3f}** |")
    print(f"\nPages of memory taken per film: {faults}.")
    print("\n| once per process | |\n|---|---|")
    print(f"| import | {imported - start:.1f} s |")
    print(f"| load configuration and weights | {loaded - imported:.1f} s |")
    print(f"| peak memory after loading | {base:.0f} MiB |")
    print(f"| peak memory | {peak:.0f} MiB |")


if __name__ == "__main__":
    main()
