"""How fast `monai-ceph detect` processes many files, where the time goes, and how much memory it takes.

``python benchmarks/batch.py`` draws a few DICOM phantoms of 1935 x 2400 pixels, and writes ``--files`` DICOM headers
with different UIDs. Their pixels are those of the phantoms, because 10,000 whole copies would take 93 GB. It runs each
engine with each number of workers on all files. It prints films per second, their ratio to the first run, processor
time per film (which other work on the machine changes little), the share of each part of the work, and the peak memory
of the first process and of a worker. ``--engine ray`` starts a cluster on this machine. Films per second do not include
the start of the cluster or of workers. Phantoms are read from the disk cache: a slow disk or network is not measured.

``--points N`` also prints the memory of the first process at N points of each run.

``--fake`` replaces the reader and the detector by ones that answer at once. This measures only the search for files,
the ledger and the tables, and shows that their memory does not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from monai_ceph.batch import FORMATS, Options, Outcome, detect_films, parse_formats
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import Radiograph, SpacingSource, read_radiograph
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity
from monai_ceph.work.executors import threads_per_worker

ROOT = "1.2.826.0.1.3680043.8.498.0"


class Instant:
    """A detector that returns the same landmarks for every film."""

    identity = ModelIdentity(name="instant", version="0", weights_sha256="0", recipe_sha256="0", software="none")

    def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
        """Return them."""
        marks = tuple(
            DetectedLandmark(
                number=mark.number, name=mark.name, symbol=mark.symbol, x=20.0, y=30.0, score=0.9, status="ok"
            )
            for mark in LANDMARKS
        )
        return Detection(
            file=str(radiograph.path),
            image_uid=radiograph.image_uid,
            rows=radiograph.pixels.shape[0],
            columns=radiograph.pixels.shape[1],
            pixel_spacing=None,
            spacing_source=SpacingSource.NONE,
            turned=0,
            mirrored=False,
            inverted=False,
            state="ok",
            landmarks=marks,
            model=self.identity,
            warnings=(),
            created=datetime.now(timezone.utc),
            seconds={},
        )


class Pixels:
    """A reader that takes the pixels of every film from one of the phantoms; without phantoms, a small grey square."""

    def __init__(self, phantoms: list[Path]) -> None:
        self.phantoms = phantoms

    def __call__(self, path: Path, pixel_spacing: float | None = None, frame: int | None = None) -> Radiograph:
        """Return them, with the film's own UID."""
        if not self.phantoms:
            return Radiograph(np.ones((64, 48), np.float32), path, image_uid=f"{ROOT}.{int(path.stem)}")
        phantom = self.phantoms[int(path.stem) % len(self.phantoms)]
        return replace(read_radiograph(phantom, pixel_spacing, frame), path=path, image_uid=f"{ROOT}.{int(path.stem)}")


def headers(phantom: Path, folder: Path, count: int) -> None:
    """Write headers with different UIDs, 1000 to a folder."""
    dataset = pydicom.dcmread(phantom)
    del dataset.PixelData
    for number in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.{number}"
        path = folder / f"{number // 1000:03}" / f"{number:06}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path)


class Watch:
    """Records the memory and processor time of a run.

    Attributes:
        rows: at some points, the number of finished films, and the current and peak memory of this process in MiB.
        cpu: processor seconds of this process and its descendants between the first film and the last.
    """

    def __init__(self, points: int, films: int) -> None:
        self._at = {max(1, films * point // points) for point in range(points + 1)} if points else set()
        self._films, self._ended, self._start = films, 0, 0.0
        self.rows: list[tuple[int, float, float]] = []
        self.cpu = 0.0

    def __call__(self, name: str, outcome: Outcome | None) -> None:
        """Count a finished film."""
        self._ended += 1
        if self._ended in self._at:
            self.rows.append((self._ended, memory("VmRSS"), memory("VmHWM")))
        if self._ended == 1:
            self._start = processor_seconds()
        if self._ended == self._films:
            self.cpu = processor_seconds() - self._start


def processor_seconds() -> float:
    """Return the processor seconds of this process and all its descendants."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # after the name, which may hold spaces: state, parent, ..., and utime and stime as fields 14 and 15
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        process = int(path.parent.name)
        parents[process], used[process] = int(fields[1]), int(fields[11]) + int(fields[12])
    ours = {os.getpid()}
    while below := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= below
    return sum(used[process] for process in ours) / os.sysconf("SC_CLK_TCK")


def memory(which: str) -> float:
    """Return the memory of this process in MiB: VmRSS is the current one, VmHWM the peak."""
    # not getrusage: its maximum includes that of the parent process
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) / 2**10


def measure(films: Path, options: argparse.Namespace) -> None:
    """Run on the films and print the figures as JSON. This runs in a separate process, to measure its memory."""
    fake, workers = options.fake, options.workers[0]
    if fake:
        make, read = Instant, Pixels([])
    else:
        from monai_ceph.detection import CephalogramDetector

        make = partial(CephalogramDetector, options.device)
        read = Pixels(sorted((films.parent / "phantoms").glob("*.dcm")))
    executor = None
    if options.engine == ["ray"]:
        from monai_ceph.work.ray_cluster import RayExecutor

        # as many threads as the processes of the local engine have
        executor = partial(RayExecutor, workers=workers, cpus=threads_per_worker(workers), gpu=options.device != "cpu")
    watch = Watch(options.points, options.files[0])
    with tempfile.TemporaryDirectory(dir=films.parent) as out:
        begun = time.perf_counter()
        settings = Options(formats=parse_formats([options.formats]), workers=workers, force=True)
        summary = detect_films([films], Path(out), make, settings, read=read, on_film=watch, make_executor=executor)
        whole = time.perf_counter() - begun
        most = memory("VmHWM")  # includes the tables, but not the list of files below
        disk = sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file())
    # Ray's workers are not children of this process
    children = workers > 1 and executor is None
    result = {
        "landmarks": summary.with_landmarks,
        "films": summary.films,
        "rate": summary.films_per_second,
        "whole": whole,
        "parts": summary.parts,
        "peak": most,
        "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10 if children else None,
        "disk": disk / 2**10 / summary.films,
        "memory": watch.rows,
        "cpu": watch.cpu / max(1, summary.films - 1),
    }
    print(json.dumps(result), flush=True)


def row(engine: str, workers: int, result: dict[str, Any], first: float) -> str:
    """Return a row of the table; ``first``: the films per second of the first run."""
    work = sum(result["parts"].values())
    cells = [
        engine,
        str(workers),
        f"{result['landmarks']} of {result['films']}",
        f"{result['rate']:.2f}",
        f"{result['rate'] / first:.2f}",
        f"{result['cpu']:.2f}",
        f"{result['whole']:.0f}",
        ", ".join(f"{name} {100 * seconds / work:.0f}" for name, seconds in result["parts"].items()),
        f"{result['peak']:.0f}" + (f" and {result['worker']:.0f}" if result["worker"] else ""),
        f"{result['disk']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--files", type=int, nargs="+", default=[10_000], help="number of films; several values give several runs"
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many processes; each a run")
    parser.add_argument(
        "--engine", choices=("local", "ray"), nargs="+", default=["local"], help="where the workers are; each a run"
    )
    parser.add_argument("--phantoms", type=int, default=5, help="number of different films among them")
    parser.add_argument("--formats", default="csv,json,overlay", help=f"of {', '.join(FORMATS)}")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--folder", type=Path, help="temporary folder of films and results (default: /tmp)")
    parser.add_argument("--fake", action="store_true", help="use a reader and a detector that return at once")
    parser.add_argument("--points", type=int, default=0, help="at how many points of a run its memory is printed")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options)
        return
    print(f"{os.cpu_count()} CPUs, {options.device}, {options.formats}{', fake' * options.fake}\n")
    columns = (
        "engine",
        "workers",
        "films with landmarks",
        "films/s",
        "times the first",
        "CPU s per film",
        "seconds with loading and tables",
    )
    columns += ("% of the work", "peak MiB (and of a worker)", "KiB on disk per film")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    first, memory = None, []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        phantoms = write_phantoms(Path(folder) / "phantoms", options.phantoms, 0)
        for count in options.files:
            films = Path(folder) / f"films-{count}"
            headers(phantoms[0], films, count)
            for engine, workers in product(options.engine, options.workers):
                command = [sys.executable, __file__, "--measure", str(films), "--files", str(count)]
                command += ["--engine", engine, "--workers", str(workers), "--points", str(options.points)]
                command += ["--formats", options.formats, "--device", options.device, *["--fake"] * options.fake]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                result = json.loads(done.stdout.splitlines()[-1])
                first = first or result["rate"]
                print(row(engine, workers, result, first), flush=True)
                memory += [(engine, workers, count, *each) for each in result["memory"]]
    if memory:
        print(
            "\n| engine | workers | films in all | films that ended | MiB now | peak MiB |\n|---|---|---|---|---|---|"
        )
        for engine, workers, count, ended, now, most in memory:
            print(f"| {engine} | {workers} | {count} | {ended} | {now:.0f} | {most:.0f} |")


if __name__ == "__main__":
    main()
