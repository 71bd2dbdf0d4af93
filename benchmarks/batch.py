"""How fast `monai-ceph detect` gets through many files, where the time goes, and how much memory it takes.

``python benchmarks/batch.py`` draws a few DICOM phantoms of 1935 x 2400 pixels and makes ``--files`` DICOM headers with
UIDs of their own, whose pixels are those of the phantoms: 10,000 whole copies would take 93 GB. It runs each number of
``--workers`` over all of them, and prints films per second, the share of each part of the work, and the largest memory
of the first process and of a worker. Phantoms are read from the disk cache: a slow disk or network is not measured.

``--fake`` puts a reader and a detector that answer at once in the place of the real ones: it shows the walk, the ledger
and the tables alone, and that their memory does not grow.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pydicom

from monai_ceph.batch import FORMATS, Options, detect_films, parse_formats
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import Radiograph, SpacingSource, read_radiograph
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity

ROOT = "1.2.826.0.1.3680043.8.498.0"


class Instant:
    """A detector that gives every film the same landmarks."""

    identity = ModelIdentity(name="instant", version="0", weights_sha256="0", recipe_sha256="0")

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
    """Write headers with UIDs of their own, 1000 to a folder."""
    dataset = pydicom.dcmread(phantom)
    del dataset.PixelData
    for number in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.{number}"
        path = folder / f"{number // 1000:03}" / f"{number:06}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path)


def measure(films: Path, workers: int, formats: frozenset[str], device: str, fake: bool) -> None:
    """Run over the films and print a row of the table; in a process of its own, for its memory."""
    if fake:
        make, read = Instant, Pixels([])
    else:
        from monai_ceph.detection import CephalogramDetector

        make = partial(CephalogramDetector, device)
        read = Pixels(sorted((films.parent / "phantoms").glob("*.dcm")))
    with tempfile.TemporaryDirectory(dir=films.parent) as out:
        begun = time.perf_counter()
        options = Options(formats=formats, workers=workers, force=True)
        summary = detect_films([films], Path(out), make, options, read=read)
        whole = time.perf_counter() - begun
        disk = sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file())
    peaks = [resource.getrusage(who).ru_maxrss / 2**10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    work = sum(summary.parts.values())
    row = [
        str(workers),
        f"{summary.with_landmarks} of {summary.films}",
        f"{summary.films_per_second:.2f}",
        f"{whole:.0f}",
        ", ".join(f"{name} {100 * seconds / work:.0f}" for name, seconds in summary.parts.items()),
        f"{peaks[0]:.0f}" + (f" and {peaks[1]:.0f}" if workers > 1 else ""),
        f"{disk / 2**10 / summary.films:.0f}",
    ]
    print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[10_000], help="how many films; each a run of its own")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many processes; each a run")
    parser.add_argument("--phantoms", type=int, default=5, help="different films among them")
    parser.add_argument("--formats", default="csv,json,overlay", help=f"of {', '.join(FORMATS)}")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--folder", type=Path, help="where films and results stand for the time being (default: /tmp)")
    parser.add_argument("--fake", action="store_true", help="a reader and a detector that answer at once")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        formats = parse_formats([options.formats])
        measure(options.measure, options.workers[0], formats, options.device, options.fake)
        return
    print(f"{os.cpu_count()} CPUs, {options.device}, {options.formats}{', fake' * options.fake}\n")
    columns = ("workers", "films with landmarks", "films/s", "seconds with loading and tables", "% of the work")
    columns += ("peak MiB (and of a worker)", "KiB on disk per film")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        phantoms = write_phantoms(Path(folder) / "phantoms", options.phantoms, 0)
        for count in options.files:
            films = Path(folder) / f"films-{count}"
            headers(phantoms[0], films, count)
            for workers in options.workers:
                command = [sys.executable, __file__, "--measure", str(films), "--workers", str(workers)]
                command += ["--formats", options.formats, "--device", options.device, *["--fake"] * options.fake]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
