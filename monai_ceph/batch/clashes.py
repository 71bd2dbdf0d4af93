"""Clashes: different images with the same SOP Instance UID.

DICOM objects refer to their film by its UID (PS3.3 C.17.2.1), and an archive has only one image per
UID, which may be another one. So films that share a UID get no DICOM objects, and a result needs more than
the UID to be identified.
"""

from __future__ import annotations

from monai_ceph.batch.ledger import Clash, Ledger
from monai_ceph.batch.results import Results
from monai_ceph.errors import StoppedError
from monai_ceph.reports.json_result import save_json
from monai_ceph.result import Detection
from monai_ceph.work.options import SENT_FORMATS, film_files

__all__ = ["CLASH_WARNING", "mark_clashes"]

CLASH_WARNING = (
    "Another file with other pixels or another patient has the same SOP Instance UID: no DICOM object is made, and "
    "a person must find out which image this is."
)


def mark_clashes(ledger: Ledger, results: Results) -> None:
    """Give films that clash different names and a warning, and remove their DICOM objects.

    Call it after all films: the first film of a clash is finished before the second is found, perhaps by an earlier
    run, and its file may be gone. Films that were marked before are left as they are.

    Raises:
        StoppedError: if a file cannot be written.
    """
    for film in ledger.unmarked_clashes():
        text = None
        if film.detection is not None:
            detection = Detection.model_validate_json(film.detection)
            warnings = (*detection.warnings, CLASH_WARNING)
            detection = detection.model_copy(update={"file": film.new_name, "warnings": warnings})
            _rewrite(film, detection, results)
            text = detection.model_dump_json()
        ledger.mark_clash(film.id, film.new_name, text)


def _rewrite(film: Clash, detection: Detection, results: Results) -> None:
    assert film.stem is not None
    results.remove_film(film.stem, SENT_FORMATS)
    (target,) = film_files(results.unfinished, film.stem, {"json"}).values()
    if results.holds(str(target.relative_to(results.unfinished))):
        try:
            save_json(target, detection)
        except OSError as error:
            raise StoppedError(f"{target}: {error.strerror or error}") from error
        results.publish_film(film.stem)
