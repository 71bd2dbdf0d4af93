"""Work on one film: the job, reading, detecting, writing, and the outcome. Nothing here knows about other films."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from pydicom import Dataset

from monai_ceph.errors import CephError, ReadError, RejectedError, StoppedError
from monai_ceph.profiles import Profile
from monai_ceph.readers import Radiograph
from monai_ceph.readers.files import open_file
from monai_ceph.readers.placement import Placement, placement_of
from monai_ceph.reports.dicom_source import header_warnings, source_header
from monai_ceph.reports.film_tracing import save_tracing
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.json_result import save_json
from monai_ceph.reports.markups import save_markups
from monai_ceph.reports.overlay import save_overlay
from monai_ceph.result import Detection, ModelIdentity
from monai_ceph.work.image_digest import image_digest, patient_id
from monai_ceph.work.names import without_identity
from monai_ceph.work.options import OBJECT_FORMATS, PICTURE_FORMATS, SENT_FORMATS, Options, film_files
from monai_ceph.work.remote import local_copy
from monai_ceph.work.start_up import import_monai_alone

__all__ = [
    "REPLACES",
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


REPLACES = "The film's header was changed under the same UID: this replaces a result for the earlier header."
"""Warning in a result that replaces another one."""

_NOTHING: Mapping[str, ObjectReference] = MappingProxyType({})

State = Literal["done", "uncertain", "rejected", "failed"]
"""Outcome of a film."""


class Detector(Protocol):
    """A :class:`~monai_ceph.detection.CephalogramDetector`, or a stand-in for it."""

    identity: ModelIdentity

    def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
        """Return the detection, or raise a :class:`CephError`."""
        ...


MakeDetector = Callable[[], Detector]
"""Creates the detector in the process that uses it. It must be picklable if there are several workers."""


def make_detector(device: str | None, overlays: tuple[Path, ...], profile: Profile | None = None) -> Detector:
    """Return the real detector. Importing torch takes seconds, so only processes that detect import it."""
    import_monai_alone(overlays)
    from monai_ceph.detection import CephalogramDetector

    return CephalogramDetector(device, overlays, profile=profile)


Read = Callable[[Path, "float | None", "int | None", "io.FileIO | None"], Radiograph]
"""Reads a file with a pixel spacing in mm (None: the file's own) and a frame (None: the only one).

The last argument is the file itself, if it is open already.
"""


class BrokenDeviceError(StoppedError):
    """The device stopped working, so every further film in this process would fail.

    Attributes:
        film: row of the film that was being worked on, which may be the cause.
    """

    film: int | None = None


@dataclass(frozen=True)
class FilmJob:
    """What a worker needs to know about a film.

    Attributes:
        id: the film's row in the ledger.
        path: absolute path of the file, or the path that represents a URL.
        frame: frame number in a file with several frames, else None.
        name: name of the film in tables and messages.
        stem: file name of its outputs, without suffix.
        uid: SOP Instance UID of a DICOM image, or the UID that replaces it; None if it has none.
        dicom: it is a DICOM file, and may have DICOM results.
        anonymous: outputs and messages must not contain the path, or what the file says about the patient.
        judged: digests of images with this UID that have a result already. A film that is one of them is not detected
            on again.
        fetched: of a film behind a URL, the copy that was fetched, or why it cannot be fetched. None: not fetched yet.
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
    fetched: Path | ReadError | None = None


@dataclass(frozen=True)
class Outcome:
    """How work on a film ended.

    Attributes:
        id: the film's row in the ledger.
        state: state of the film.
        cause: why there are no landmarks; begins with ``unreadable``, ``rejected`` or ``failed``.
        detection: JSON of the detection.
        warnings: sentences for the person who reviews the result.
        seconds: time for each part of the work: the parts of the detection, and ``writing``.
        duplicate_of: name of the film that is the same image and has the result.
        image_sha256: :func:`~monai_ceph.work.image_digest.image_digest` of a DICOM film that could be read.
        same_image: the film is one of the job's ``judged`` images; ``state`` means nothing then.
        pixels_sha256: the same digest without the PatientID, where a worker computes it.
        answered: digest of what the result takes from the film, where a worker computes it.
        stop: an error that would affect every film, such as a full disk. It ends the run, and the film is still open.
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
    pixels_sha256: str | None = None
    answered: str | None = None
    stop: str | None = None


@dataclass(frozen=True)
class Reading:
    """What was read of a film.

    Attributes:
        result: its pixels, or why there are none.
        seconds: how long it took.
        image_sha256: :func:`~monai_ceph.work.image_digest.image_digest` of a DICOM film.
        header: of a DICOM film whose results need it, or why it cannot be read.
        placement: where viewers place the film, if markups need it, or why they do not.
    """

    result: Radiograph | Exception
    seconds: float
    image_sha256: str | None = None
    header: Dataset | CephError | None = None
    placement: Placement | CephError | None = None


ReadFilm = Callable[[FilmJob], Reading]
"""Reads a film without raising. It must be picklable for executors with several processes."""


def read_film(read: Read, options: Options, job: FilmJob) -> Reading:
    """Read everything that is needed from a film, in any thread or process. Its file is not opened again."""
    start = time.perf_counter()
    result: Radiograph | Exception
    digest, header, placement = None, None, None
    try:
        with local_copy(job.path, job.fetched) as path, open_file(path) as opened:
            result = replace(read(path, options.pixel_spacing, job.frame, opened), path=job.path)
            if job.dicom and job.uid is not None:
                # without a digest, a film equals no other film
                with suppress(Exception):
                    digest = image_digest(patient_id(path, opened), result.pixels)
            if job.dicom and (options.deidentify or not options.formats.isdisjoint(SENT_FORMATS)):
                header = _header(job, path, opened)
            if "markups" in options.formats:
                placement = _placement(job, path)
    except Exception as error:
        result = error
    return Reading(result, time.perf_counter() - start, digest, header, placement)


def _header(job: FilmJob, path: Path, opened: io.FileIO | None) -> Dataset | CephError:
    try:
        return source_header(path, opened)
    except CephError as error:
        return type(error)(str(error).replace(str(path), str(job.path)))


def _placement(job: FilmJob, path: Path) -> Placement | CephError:
    if job.frame is not None:
        return CephError("the film has several frames")
    try:
        return placement_of(path)
    except CephError:
        # its text has the path
        return CephError("3D Slicer does not read this file as the film is stored")


class FilmWorker:
    """Reads films, detects on them and writes the results, one film after the other.

    Equal jobs have equal results in any process.

    Args:
        detector: detects.
        out: absolute path of the folder for the results.
        options: options of the run.
        read: reads a film.
    """

    def __init__(self, detector: Detector, out: Path, options: Options, read: Read) -> None:
        self.identity = detector.identity
        self._detector, self._out, self._options, self._read = detector, out, options, read

    def into(self, out: Path) -> FilmWorker:
        """Return the same worker with another folder for the results."""
        other = copy(self)
        other._out = out
        return other

    def __call__(self, job: FilmJob) -> Outcome:
        """Read a film, detect on it and write its files."""
        return self.finish(job, self.read(job))

    def read(self, job: FilmJob) -> Reading:
        """Read the film, in any thread."""
        return read_film(self._read, self._options, job)

    def finish(self, job: FilmJob, reading: Reading, replaces: Mapping[str, ObjectReference] = _NOTHING) -> Outcome:
        """Detect on a film that was read, and write its files.

        Args:
            job: the film.
            reading: what was read of it.
            replaces: by kind, the objects that were made before the film's header was changed.

        Raises:
            BrokenDeviceError: if the device stopped working.
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
            if isinstance(reading.header, CephError):
                raise reading.header
            detection = self._write(job, reading, detection, replaces)
            seconds = {**seconds, "writing": time.perf_counter() - start}
        except StoppedError as error:
            return Outcome(job.id, "failed", stop=str(error))
        except Exception as error:  # such as a film that is too large for the memory: the others may still succeed
            if "CUDA error" in str(error):
                raise BrokenDeviceError(f"the device failed: {_first_line(error)}") from error
            state = "rejected" if isinstance(error, RejectedError) else "failed"
            return Outcome(job.id, state, _cause(job, error), image_sha256=image)
        result = detection.model_dump_json()
        state = "done" if detection.state == "ok" else "uncertain"
        return Outcome(job.id, state, None, result, detection.warnings, seconds, image_sha256=image)

    def _write(
        self, job: FilmJob, reading: Reading, detection: Detection, replaces: Mapping[str, ObjectReference]
    ) -> Detection:
        """Write the film's files. Return the detection as written, with a warning for each file that was left out."""
        radiograph, source = reading.result, reading.header
        assert isinstance(radiograph, Radiograph)
        assert not isinstance(source, CephError)
        files = film_files(self._out, job.stem, self._options.formats)
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
        if replaces:
            detection = detection.model_copy(update={"warnings": (*detection.warnings, REPLACES)})
        detection = detection.model_copy(update={"file": job.name})
        for kind, target in files.items():
            if kind in PICTURE_FORMATS and kind not in OBJECT_FORMATS:
                with _written(target):
                    save = save_overlay if kind == "overlay" else save_tracing
                    save(target, radiograph, detection, circles=self._options.circles)
            elif kind == "markups" and isinstance(reading.placement, Placement):
                with _written(target):
                    save_markups(target, detection, reading.placement)
            elif kind == "markups":
                notes.append(f"No markups: {reading.placement}.")
            elif kind in SENT_FORMATS and source is not None:
                try:
                    with _written(target):
                        _save_object(kind, target, detection, source, radiograph, replaces.get(kind), self._options)
                except StoppedError:
                    raise
                except CephError as error:  # such as a film without UIDs, to which no object can refer
                    notes.append(f"No {kind.upper()}: {str(error).removeprefix(f'{job.name}: ')}")
        # last, so that it holds all warnings
        detection = detection.model_copy(update={"warnings": (*detection.warnings, *notes)})
        if result := files.get("json"):
            with _written(result):
                save_json(result, detection)
        return detection


def _save_object(
    kind: str,
    target: Path,
    detection: Detection,
    source: Dataset,
    radiograph: Radiograph,
    replaces: ObjectReference | None,
    options: Options,
) -> None:
    # imported only here: highdicom takes a second
    settings = options.objects
    if kind == "sr":
        from monai_ceph.reports.structured_report import save_sr

        save_sr(target, detection, source, replaces, settings)
    elif kind == "fhir":
        from monai_ceph.reports.fhir_bundle import save_fhir

        save_fhir(target, detection, source, replaces)
    elif kind == "gsps":
        from monai_ceph.reports.presentation_state import save_gsps

        save_gsps(target, detection, source, replaces, options.circles, settings)
    elif kind == "sc":
        from monai_ceph.reports.secondary_capture import save_sc

        save_sc(target, detection, source, radiograph, replaces, settings)
    else:
        from monai_ceph.analysis import measure
        from monai_ceph.reports.encapsulated_pdf import save_pdf
        from monai_ceph.reports.film_picture import film_png

        save_pdf(target, detection, source, measure(detection), film_png(radiograph), replaces, settings)


@contextmanager
def _written(target: Path) -> Iterator[None]:
    """Turn a failure to write, which would affect every film, into the end of the run."""
    try:
        yield
    except OSError as error:
        raise StoppedError(f"{target}: {error.strerror or error}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _cause(job: FilmJob, error: Exception) -> str:
    """Return the kind of error and its cause, without the film's path: the name has its own column."""
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
