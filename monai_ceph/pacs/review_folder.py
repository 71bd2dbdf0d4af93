"""Copies of films and results that people review: the node itself forgets both once its targets have everything."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from monai_ceph.errors import StoppedError
from monai_ceph.reports.json_result import save_json
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside
from monai_ceph.work.film import Outcome

__all__ = ["ReviewFolder"]


class ReviewFolder:
    """A folder with ``films`` and ``results``, as ``monai-ceph review FOLDER/results --films FOLDER/films`` reads it.

    Args:
        folder: created if necessary, only for its owner.

    Raises:
        StoppedError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._films, self._results = folder / "films", folder / "results" / "json"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # so that a review can begin before the first film
            for each in (self._films, self._results):
                each.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoppedError(f"{error.filename or folder}: {error.strerror or error}") from error

    def keep(self, film: Path, uid: str, outcomes: Sequence[Outcome]) -> None:
        """Copy a film and what was detected on it. A film that comes again replaces its copy, never a review of it.

        Args:
            film: file of the film.
            uid: its SOP Instance UID, which was checked and is a file name.
            outcomes: of its frames, in their order.

        Raises:
            OSError: the folder cannot be written.
        """
        found = [Detection.model_validate_json(each.detection) for each in outcomes if each.detection is not None]
        if not found:
            return
        # the film first: a result without its film cannot be reviewed
        with written_beside(self._films / f"{uid}.dcm") as part:
            shutil.copyfile(film, part)
        for detection in found:
            frame, stem = ("", uid) if detection.frame is None else (f"#{detection.frame}", f"{uid}_{detection.frame}")
            named = detection.model_copy(update={"file": f"{uid}.dcm{frame}"})
            save_json(self._results / f"{stem}.dcm.json", named)
