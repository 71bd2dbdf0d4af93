"""Reads landmarks that a person corrected: from a table, or from an SR document that a viewer saved."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from monai_ceph.datasets.points import FilmPoints, read_points
from monai_ceph.errors import CephError
from monai_ceph.readers.dicom_file import has_preamble
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["is_report", "read_corrected_points"]

# all SR SOP classes are below it (PS3.4 B.5)
_SR_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
_HEAD = 132


def is_report(path: Path) -> bool:
    """Return whether a file is an SR document in DICOM's file format."""
    try:
        with path.open("rb") as file, quiet():
            if not has_preamble(file.read(_HEAD)):
                return False
            file.seek(0)
            found = dcmread(file, specific_tags=["SOPClassUID"], stop_before_pixels=True).get("SOPClassUID")
    except Exception:  # what cannot be read is no report; whoever reads it next says why
        return False
    return str(found or "").startswith(_SR_CLASSES)


def read_corrected_points(path: Path) -> list[FilmPoints]:
    """Return the points of an SR document, or of a table as :func:`monai_ceph.datasets.points.read_points` reads it.

    Raises:
        CephError: if the file cannot be read. The message names it.
        OSError: if there is no such file.
    """
    if not is_report(path):
        return read_points(path)
    # imported only here: highdicom takes a second, and tables do not need it
    from monai_ceph.reports.sr_points import films_of_report

    try:
        with quiet():
            document = dcmread(path)
            document.decode()
    except OSError:
        raise
    except Exception as error:
        raise CephError(f"{path}: the report cannot be read ({type(error).__name__}).") from error
    try:
        found = films_of_report(document)
    except CephError as error:
        raise CephError(f"{path}: {error}") from error
    if not found:
        raise CephError(f"{path}: the report has no point with the name or code of a landmark")
    return found
