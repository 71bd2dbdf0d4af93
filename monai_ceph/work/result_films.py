"""The films of a folder of results: their files are found again by what the results call them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from monai_ceph.errors import ReadError
from monai_ceph.readers import Radiograph, iter_radiographs, read_radiograph
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.result import Detection
from monai_ceph.work.names import readable

__all__ = ["Films", "is_results", "radiograph_of"]

_FOREIGN = "the film of this name is another image, so its picture was left out"


class Films:
    """Finds the file of a film again by what the results call it, or by its SOP Instance UID.

    Args:
        paths: files, and folders that are searched to any depth.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files: list[Path] = []
        self._named: dict[str, Path] = {}
        for root in paths:
            for path in iter_radiographs([root]):
                self._files.append(path)
                names = [readable(path)]
                if root.is_dir():
                    names.append(readable(path.relative_to(root) if path.is_relative_to(root) else path))
                for name in names:
                    self._named.setdefault(name, path)

    @cached_property
    def _by_uid(self) -> dict[str, Path | None]:
        """Files by UID; None for a UID that two files have, since they may be different images."""
        from pydicom import dcmread

        found: dict[str, Path | None] = {}
        for path in self._files:
            try:
                with quiet():
                    uid = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID")
            except Exception:  # no DICOM file, or one that cannot be read, has no UID
                continue
            if uid:
                found[str(uid)] = None if str(uid) in found else path
        return found

    def find(self, detection: Detection) -> Path | None:
        """Return the file of a film, or None if it is not among these."""
        name = detection.file
        if detection.frame is not None:
            name = name.removesuffix(f"#{detection.frame}")
        if (path := self._named.get(name)) is not None or detection.image_uid is None:
            return path
        return self._by_uid.get(detection.image_uid)


def is_results(path: Path) -> bool:
    """Return whether a folder holds the results of ``monai-ceph detect`` as JSON."""
    return (path / "json").is_dir()


def radiograph_of(films: Films, detection: Detection) -> tuple[Radiograph | None, str | None]:
    """Return the film of a detection, or None and why its picture is left out."""
    path = films.find(detection)
    if path is None:
        return None, None
    try:
        radiograph = read_radiograph(path, frame=detection.frame)
    except ReadError as error:
        return None, str(error)
    same = radiograph.pixels.shape == (detection.rows, detection.columns)
    if not same or (detection.image_uid or None) != (radiograph.image_uid or None):
        return None, _FOREIGN
    return radiograph, None
