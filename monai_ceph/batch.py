"""Many films: a table, an overlay each, and a row for every file that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.readers import Radiograph, find_radiographs, read_radiograph
from monai_ceph.reports.overlay import save_overlay
from monai_ceph.reports.tables import ERROR_COLUMNS, LANDMARK_COLUMNS, TableWriter, landmark_rows
from monai_ceph.result import Detection

__all__ = ["Summary", "detect_films", "overlay_names"]


_KINDS = {ReadError: "unreadable", RejectedError: "rejected"}


@dataclass
class Summary:
    """How a run ended: films with landmarks, and files in the error table."""

    done: int = 0
    failed: int = 0


def overlay_names(films: Sequence[Path]) -> list[str]:
    """Return a file name per film, unique in one folder: the film's own, numbered where two share it."""
    seen: dict[str, int] = {}
    taken: set[str] = set()
    names: list[str] = []
    for film in films:
        count = seen.get(film.name.lower(), 0) + 1
        while (name := f"{film.name}.png" if count == 1 else f"{film.name}.{count}.png").lower() in taken:
            count += 1
        seen[film.name.lower()] = count
        taken.add(name.lower())
        names.append(name)
    return names


def _films(paths: Sequence[Path], pictures: Path) -> list[Path]:
    """The films in files and folders, but the overlays of a run before, unless they are named."""
    named, pictures = set(map(Path, paths)), pictures.resolve()
    return [film for film in find_radiographs(paths) if film in named or pictures not in film.resolve().parents]


def detect_films(
    paths: Sequence[Path],
    out: Path,
    detector: CephalogramDetector,
    *,
    pixel_spacing: float | None = None,
    force: bool = False,
    overlays: bool = True,
    on_start: Callable[[int], None] = lambda count: None,
    on_film: Callable[[Path, Detection | CephError], None] = lambda film, outcome: None,
) -> Summary:
    """Detect on files and folders and write ``landmarks.csv``, ``errors.csv`` and ``overlays/`` under ``out``.

    A file that cannot be read, or that does not look like a cephalogram, costs one row in ``errors.csv``; the rest
    goes on. The next film is read while the network works on this one.

    Args:
        paths: files, and folders that are searched to any depth; overlays already in ``out`` are left out.
        out: made if it is not there.
        detector: does the work.
        pixel_spacing: mm, replaces what the files say.
        force: keep what does not look like a cephalogram.
        overlays: whether to draw a picture per film.
        on_start: called once with the number of files.
        on_film: called with every file and its detection or error.

    Raises:
        CephError: if there is no file at all.
        OSError: if ``out`` cannot be written.
    """
    # ITK changes the working folder for a moment while it loads in the reading thread
    out = out.absolute()
    films = _films(paths, out / "overlays")
    if not films:
        raise CephError(f"no film in {', '.join(map(str, paths))}")
    on_start(len(films))
    summary = Summary()
    pictures = overlay_names(films)
    with (
        TableWriter(out / "landmarks.csv", LANDMARK_COLUMNS) as table,
        TableWriter(out / "errors.csv", ERROR_COLUMNS) as errors,
        ThreadPoolExecutor(max_workers=1) as ahead,
    ):
        reading: Future[Radiograph] | None = ahead.submit(read_radiograph, films[0], pixel_spacing)
        for index, film in enumerate(films):
            current, reading = reading, None
            assert current is not None
            try:
                try:
                    radiograph = current.result()
                finally:
                    if index + 1 < len(films):
                        reading = ahead.submit(read_radiograph, films[index + 1], pixel_spacing)
                detection = _detect(detector, radiograph, force)
            except CephError as error:
                errors.write([[str(film), _cause(film, error)]])
                summary.failed += 1
                on_film(film, error)
                continue
            if overlays:
                save_overlay(out / "overlays" / pictures[index], radiograph, detection)
            table.write(landmark_rows(detection))
            summary.done += 1
            on_film(film, detection)
    return summary


def _detect(detector: CephalogramDetector, radiograph: Radiograph, force: bool) -> Detection:
    try:
        return detector(radiograph, force=force)
    except CephError:
        raise
    except Exception as error:  # such as a film that is too large for the memory: the others may still go well
        lines = str(error).strip().splitlines() or [""]
        raise CephError(f"{radiograph.path}: {type(error).__name__}: {lines[0]}".rstrip(": ")) from error


def _cause(film: Path, error: CephError) -> str:
    """The message without the file's name, which has its own column."""
    kind = next((kind for each, kind in _KINDS.items() if isinstance(error, each)), "failed")
    return f"{kind}: {str(error).removeprefix(f'{film}: ')}"
