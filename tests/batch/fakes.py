"""A detector and a reader that take the places of the real ones, in any process; the file's name says what happens."""

from __future__ import annotations

import errno
import os
import signal
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom

from monai_ceph.datasets.phantom.dicom import save_dicom
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import Radiograph
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity, film_state
from monai_ceph.work.names import readable

ROWS, COLUMNS = 48, 40


class FakeDetector:
    """Finds landmarks that depend on nothing but the film's mean value.

    Names of files: ``explode`` raises, ``reject`` is no cephalogram, ``doubt`` is uncertain, ``die`` kills the process,
    ``break`` breaks the device, ``once`` kills the process the first time, ``hang`` takes for ever. ``log`` gets a line
    per film before anything else, ``seconds`` is how long a film takes.
    """

    def __init__(self, log: Path | None = None, seconds: float = 0.0, recipe: str = "0") -> None:
        self.identity = ModelIdentity(
            name="fake", version="1", weights_sha256="0", recipe_sha256=recipe, software="fake 1"
        )
        self.log, self.seconds = log, seconds

    def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
        name = radiograph.path.name
        if self.log is not None:
            with self.log.open("a", errors="backslashreplace") as stream:
                stream.write(f"{name}\n")
        time.sleep(3600 if "hang" in name else self.seconds)
        if "die" in name or ("once" in name and self.log and self.log.read_text().split().count(name) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if "explode" in name:
            raise RuntimeError("out of memory\nand more")
        if "break" in name:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if "reject" in name and not force:
            raise RejectedError(f"{radiograph.path}: not a lateral cephalogram: every pixel has the same value")
        level = float(radiograph.pixels.mean())
        marks = tuple(
            DetectedLandmark(
                number=mark.number,
                name=mark.name,
                symbol=mark.symbol,
                x=level + index,
                y=None if "doubt" in name else 2.0 * index,
                score=0.5,
                status="missing" if "doubt" in name else "ok",
            )
            for index, mark in enumerate(LANDMARKS)
        )
        return Detection(
            file=readable(radiograph.path),
            frame=radiograph.frame,
            study_uid=radiograph.study_uid,
            series_uid=radiograph.series_uid,
            image_uid=radiograph.image_uid,
            sop_class_uid=radiograph.sop_class_uid,
            rows=radiograph.pixels.shape[0],
            columns=radiograph.pixels.shape[1],
            pixel_spacing=radiograph.pixel_spacing,
            spacing_source=radiograph.spacing_source,
            turned=0,
            mirrored=False,
            inverted=False,
            state=film_state(marks, 0.4, forced=force and "reject" in name),
            landmarks=marks,
            model=self.identity,
            warnings=(),
            created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
            seconds={"stage_1": 0.0},
        )


def no_weights() -> FakeDetector:
    """Fail as a detector does that finds no weights."""
    raise CephError("weights.pt: no such file")


def dies_of_loading() -> FakeDetector:
    """End the process, as too large a model does."""
    os._exit(7)


def no_memory() -> FakeDetector:
    """Fail as Python does that gets no memory."""
    raise MemoryError


def no_memory_for_torch() -> FakeDetector:
    """Fail as the real detector does on a GPU that others fill at the moment."""
    raise CephError("device cuda:0 cannot be used: CUDA out of memory")


def too_many_files() -> FakeDetector:
    """Fail as a process does that may open no more files."""
    raise OSError(errno.EMFILE, "Too many open files")


def read_nothing(path: Path, *_: object) -> Radiograph:
    """Read a file of any content."""
    if "truncated" in path.name:
        raise ReadError(f"{path}: truncated: 3 of 4 bytes of pixel data.")
    return Radiograph(np.full((ROWS, COLUMNS), 7, np.float32), path)


def save_film(path: Path, seed: int, frames: int = 1) -> Path:
    """Write a small DICOM film of noise; the seed is its UIDs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 4096, (frames, ROWS, COLUMNS)).astype(np.uint16)
    save_dicom(path, pixels[0], 0.1, seed)
    if frames > 1:
        dataset = pydicom.dcmread(path)
        dataset.NumberOfFrames, dataset.PixelData = frames, pixels.tobytes()
        dataset.save_as(path)
    return path
