"""One film: what is to be done with it, the work, and how it ended. Nothing here knows of other films."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from pydicom import Dataset

from monai_ceph.errors import CephError, ReadError, RejectedError, StoppedError
from monai_ceph.profiles import Profile
from monai_ceph.readers import Radiograph
from monai_ceph.reports.dicom_source import header_warnings, source_header
from monai_ceph.reports.film_tracing import save_tracing
from monai_ceph.reports.json_result import save_json
from monai_ceph.reports.overlay import save_overlay
from monai_ceph.result import Detection, ModelIdentity
from monai_ceph.work.image_digest import image_digest
from monai_ceph.work.names import without_identity
from monai_ceph.work.options import OBJECT_FORMATS, PICTURE_FORMATS, Options, film_files
from monai_ceph.work.remote import local_copy

__all__ = [
    "BrokenDeviceError",
    "Detector",
    "FilmJob",
    "FilmWorker",
    "MakeDetector",
    "Outcome",
    "Read",
    "ReadFilm",
    "Reading",
    "State",
    "make_detector",
    "read_film",
]


State = Literal["done", "uncertain", "rejected", "failed"]
"""How a film ended."""


class Detector(Protocol):
    """What does the work: a :class:`~monai_ceph.detection.CephalogramDetector`, or what behaves like one."""

    identity: ModelIdentity

    def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
        """Return the detection, or raise a :class:`CephError`."""
        ...


MakeDetector = Callable[[], Detector]
"""Makes the detector in the process that uses it; with several workers it must be picklable."""


def make_detector(device: str | None, overlays: tuple[Path, ...], profile: Profile | None = None) -> Detector:
    """Return the real detector. Importing torch takes seconds, so only the process that detects does it."""
    from monai_ceph.detection import CephalogramDetector

    return CephalogramDetector(device, overlays, profile=profile)


Read = Callable[[Path, "float | None", "int | None"], Radiograph]
"""Reads a file with a pixel spacing in mm (None: the file's own) and a frame (None: the only one)."""


class BrokenDeviceError(StoppedError):
    """The device answers nothing any more, and no further film would go well in this process.

    Attributes:
        film: row of the film that was worked on, which may be the reason.
    """

    film: int | None = None


@dataclass(frozen=True)
class FilmJob:
    """What a worker needs to know of a film.

    Attributes:
        id: of the film's row in the ledger.
        path: absolute path of the file, or what stands for a URL.
        frame: number of the frame in a file with several, else None.
        name: what the film is called.
        stem: file name of its outputs, without suffix.
        uid: SOP Instance UID of a DICOM image, or what takes its place; None if it has none.
        dicom: it is a DICOM file, and may have DICOM results.
        anonymous: nothing that is written or said may hold the path or what the file says of the patient.
        judged: digests of images that were judged under this UID; a film that is one of them needs no detection.
    """

    id: int
    path: Path
    frame: int | None
    name: str
    stem: str
    uid: str | None
    dicom: bool
    anonymous: bool
    judged: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Outcome:
    """How a film ended.

    Attributes:
        id: of the film's row in the ledger.
        state: never None.
        cause: why there are no landmarks; begins with ``unreadable``, ``rejected`` or ``failed``.
        detection: JSON of the detection.
        warnings: sentences for the person who reviews the result.
        seconds: time per part: those of the detection, and ``writing``.
        duplicate_of: name of the film that is the same image, and was judged.
        image_sha256: of the pixels and the patient of a DICOM film that could be read.
        same_image: it is an image that the job calls judged; the state says nothing then.
        stop: what hits every film and ends the run; then the film has not ended.
    """

    id: int
    state: State
    cause: str | None = None
    detection: str | None = None
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    duplicate_of: str | None = None
    image_sha256: str | None = None
    same_image: bool = False
    stop: str | None = None


@dataclass(frozen=True)
class Reading:
    """The pixels of a film, or why there are none, how long it took, and the digest of a DICOM image."""

    result: Radiograph | Exception
    seconds: float
    image_sha256: str | None = None


ReadFilm = Callable[[FilmJob], Reading]
"""Reads a film and raises nothing; picklable for any executor with processes."""


def read_film(read: Read, options: Options, job: FilmJob) -> Reading:
    """Read a film, in any thread or process."""
    start = time.perf_counter()
    result: Radiograph | Exception
    digest = None
    try:
        with local_copy(job.path) as path:
            result = replace(read(path, options.pixel_spacing, job.frame), path=job.path)
            if job.dicom and job.uid is not None:
                # a film whose header cannot be parsed once more is like no other film
                with suppress(Exception):
                    digest = image_digest(path, result)
    except Exception as error:
        result = error
    return Reading(result, time.perf_counter() - start, digest)


class FilmWorker:
    """Works on films, one after the other: reads, detects, writes. Equal jobs have equal results in any process.

    Args:
        detector: does the work.
        out: absolute path of the folder of results.
        options: of the run.
        read: reads a film.
    """

    def __init__(self, detector: Detector, out: Path, options: Options, read: Read) -> None:
        self.identity = detector.identity
        self._detector, self._out, self._options, self._read = detector, out, options, read

    def into(self, out: Path) -> FilmWorker:
        """Return the same worker, with another folder of results."""
        other = copy(self)
        other._out = out
        return other

    def __call__(self, job: FilmJob) -> Outcome:
        """Do all of it."""
        return self.finish(job, self.read(job))

    def read(self, job: FilmJob) -> Reading:
        """Read the film, in any thread."""
        return read_film(self._read, self._options, job)

    def finish(self, job: FilmJob, reading: Reading) -> Outcome:
        """Detect on a film that was read, and write its files.

        Raises:
            BrokenDeviceError: if this process can do no more.
        """
        image = reading.image_sha256
        state: State
        try:
            if isinstance(reading.result, Exception):
                raise reading.result
            if image in job.judged:
                return Outcome(job.id, "done", image_sha256=image, same_image=True)
            detection = self._detector(reading.result, force=self._options.force)
            seconds = {"reading": reading.seconds, **detection.seconds}
            detection = detection.model_copy(update={"frame": job.frame, "seconds": seconds})
            start = time.perf_counter()
            detection = self._write(job, reading.result, detection)
            seconds = {**seconds, "writing": time.perf_counter() - start}
        except StoppedError as error:
            return Outcome(job.id, "failed", stop=str(error))
        except Exception as error:  # such as a film that is too large for the memory: the others may still go well
            if "CUDA error" in str(error):
                raise BrokenDeviceError(f"the device failed: {_first_line(error)}") from error
            state = "rejected" if isinstance(error, RejectedError) else "failed"
            return Outcome(job.id, state, _cause(job, error), image_sha256=image)
        result = detection.model_dump_json()
        state = "done" if detection.state == "ok" else "uncertain"
        return Outcome(job.id, state, None, result, detection.warnings, seconds, image_sha256=image)

    def _write(self, job: FilmJob, radiograph: Radiograph, detection: Detection) -> Detection:
        """Write the film's files; return the detection as it was written, with a warning for what could not be."""
        files = film_files(self._out, job.stem, self._options.formats)
        source = None
        if job.dicom and (self._options.deidentify or not files.keys().isdisjoint(OBJECT_FORMATS)):
            with local_copy(job.path) as path:
                source = source_header(path)
        notes: list[str] = []
        if self._options.deidentify:
            from monai_ceph.reports import deidentify

            detection = deidentify.deidentified_detection(detection)
            reason = deidentify.may_show_identity(source if source is not None else Dataset())
            source = deidentify.deidentified(source) if source is not None else None
            if reason is not None and not files.keys().isdisjoint(PICTURE_FORMATS):
                notes.append(f"No picture: {reason}")
                files = {name: file for name, file in files.items() if name not in PICTURE_FORMATS}
        if source is not None:
            notes += header_warnings(source)
        detection = detection.model_copy(update={"file": job.name})
        for kind, target in files.items():
            if kind in PICTURE_FORMATS and kind not in OBJECT_FORMATS:
                with _written(target):
                    save = save_overlay if kind == "overlay" else save_tracing
                    save(target, radiograph, detection)
            elif kind in OBJECT_FORMATS and source is not None:
                try:
                    with _written(target):
                        _save_object(kind, target, detection, source, radiograph)
                except StoppedError:
                    raise
                except CephError as error:  # such as a film without UIDs, which no object can refer to
                    notes.append(f"No {kind.upper()}: {str(error).removeprefix(f'{job.name}: ')}")
        # last, so that it holds all warnings
        detection = detection.model_copy(update={"warnings": (*detection.warnings, *notes)})
        if result := files.get("json"):
            with _written(result):
                save_json(result, detection)
        return detection


def _save_object(kind: str, target: Path, detection: Detection, source: Dataset, radiograph: Radiograph) -> None:
    # imported only here: highdicom takes a second
    if kind == "sr":
        from monai_ceph.reports.structured_report import save_sr

        save_sr(target, detection, source)
    elif kind == "gsps":
        from monai_ceph.reports.presentation_state import save_gsps

        save_gsps(target, detection, source)
    elif kind == "sc":
        from monai_ceph.reports.secondary_capture import save_sc

        save_sc(target, detection, source, radiograph)
    else:
        from monai_ceph.analysis import measure
        from monai_ceph.reports.encapsulated_pdf import save_pdf
        from monai_ceph.reports.film_picture import film_png

        save_pdf(target, detection, source, measure(detection), film_png(radiograph))


@contextmanager
def _written(target: Path) -> Iterator[None]:
    """What cannot be written hits every film."""
    try:
        yield
    except OSError as error:
        raise StoppedError(f"{target}: {error.strerror or error}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _cause(job: FilmJob, error: Exception) -> str:
    """The kind of trouble and its cause, without the film's path: its name has a column of its own."""
    if isinstance(error, ReadError):
        kind, text = "unreadable", str(error)
    elif isinstance(error, RejectedError):
        kind, text = "rejected", str(error)
    elif isinstance(error, CephError):
        kind, text = "failed", str(error)
    else:
        kind, text = "failed", f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")
    text = text.removeprefix(f"{job.path}: ")
    if job.anonymous:
        text = without_identity(text, job.path)
    # bytes of a name that is not UTF-8
    return os.fsencode(f"{kind}: {text}").decode("utf-8", errors="backslashreplace")
