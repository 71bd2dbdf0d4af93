"""Films in a folder and its subfolders. A film's name is its path below the folder."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.datasets.folder import TABLE, folder
from monai_ceph.datasets.table import rows
from monai_ceph.errors import CephError, ReadError
from monai_ceph.labelling.errors import NotThereError, RefusedError, named
from monai_ceph.labelling.store import FINAL, FilmStore, safe_name
from monai_ceph.landmarks import EXTRA_SYMBOLS, SYMBOLS
from monai_ceph.readers import SUFFIXES, is_candidate, iter_radiographs, read_radiograph
from monai_ceph.readers.itk_image import PILLOW_SUFFIXES
from monai_ceph.readers.nifti import NIFTI_SUFFIXES
from monai_ceph.readers.placement import refuse_format
from monai_ceph.storage.atomic import written_beside

__all__ = ["FolderStore"]

logger = logging.getLogger(__name__)

_TAKEN_OVER = "from_table_sha256"


class FolderStore(FilmStore):
    """A folder with films: DICOM with or without suffix, PNG, JPEG, BMP, TIFF, MetaImage.

    Labels are saved in its subfolder ``labels``. Clients may leave out a film's suffix if no other film has the same
    name without it. NIfTI files are not listed: a film may be stored rotated in them, and client and server would then
    not agree on its pixels.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root / "labels")
        self._root = root
        self._title = root.name
        self._not_utf8: set[str] = set()

    def list_images(self) -> list[str]:
        """Return the current names of all films, except names that are not UTF-8: JSON cannot hold them."""
        names = [path.relative_to(self._root).as_posix() for path in iter_radiographs([self._root]) if _is_film(path)]
        not_utf8 = {name for name in names if not _is_utf8(name)}
        for name in sorted(not_utf8 - self._not_utf8):
            logger.warning("%r is left out: its name is not UTF-8", name)
        self._not_utf8 = not_utf8
        return [name for name in names if name not in not_utf8]

    def film(self, image_id: str) -> tuple[str, Path]:
        """Return a film's name and path, see :meth:`FilmStore.film`."""
        path = self._root / safe_name(image_id)
        if path.is_file() and is_candidate(path):
            with named(path, image_id):
                refuse_format(path)
            return image_id, path
        siblings = path.parent.iterdir() if path.parent.is_dir() else iter(())
        found = [other for other in siblings if other.stem == path.name and _is_film(other)]
        if len(found) == 1:
            return found[0].relative_to(self._root).as_posix(), found[0]
        if found:
            names = ", ".join(sorted(other.name for other in found))
            raise NotThereError(f"no film is called {image_id!r}, and several begin with that name: {names}")
        raise NotThereError(f"no film is called {image_id!r}; GET /datastore/?output=all lists them")

    def take_over_table(self) -> int:
        """Save the points of the folder's ``landmarks.csv`` as final labels, and return of how many films.

        So the folder that ``monai-ceph review export --as dataset`` writes, or any other dataset, can be trained on. A
        label that a person saved here stays; one that was taken over before follows the table. A film whose points
        cannot be used is named in the log. The table of a detection, which has scores, is not touched: nobody reviewed
        it.

        Raises:
            DatasetError: the table is wrong.
        """
        table = self._root / TABLE
        if not table.is_file() or _has_scores(table):
            return 0
        taken = 0
        for each in folder(self._root, (*SYMBOLS, *EXTRA_SYMBOLS)):
            placed = each.landmarks
            digest = hashlib.sha256(np.ascontiguousarray(placed).tobytes()).hexdigest()
            try:
                name, film = self.film(each.image.relative_to(self._root).as_posix())
                before = self.get_label_info(name, FINAL) if self.get_label_uri(name, FINAL) else None
                # a client that saves a label writes another info
                if before is not None and before.get(_TAKEN_OVER) in (None, digest):
                    continue
                points = placed[: len(SYMBOLS)]
                if np.isnan(points).all():
                    continue
                extra = {
                    symbol: place
                    for symbol, place in zip(EXTRA_SYMBOLS, placed[len(SYMBOLS) :], strict=True)
                    if np.isfinite(place).all()
                }
                self._save_points(name, film, points, {_TAKEN_OVER: digest}, FINAL, extra)
                taken += 1
            except (CephError, ValueError) as error:
                logger.warning("%s: its points in %s are left out: %s", each.name, TABLE, error)
        return taken

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Copy a new film into the folder.

        Raises:
            NotThereError: the name leads out of the folder.
            RefusedError: a film has this name already, or it would never be listed: the name is hidden or in the
                folder of labels.
            ReadError: the file cannot be read as a film.
        """
        source = Path(image_filename)
        suffix = next((end for end in SUFFIXES if source.name.lower().endswith(end)), "")
        name = safe_name(image_id or source.name)
        name = name if name.lower().endswith(SUFFIXES) else f"{name}{suffix}"
        target = self._root / name
        parts = target.relative_to(self._root).parts
        if any(part.startswith(".") for part in parts) or self._labels in target.parents:
            raise RefusedError(f"a film cannot be called {name!r}: hidden files and files in labels/ are never listed")
        if target.exists():
            raise RefusedError(f"a film called {name!r} exists, and films are never replaced. Choose another name")
        with tempfile.TemporaryDirectory() as place:
            # whether a file is listed, and how it is read, depends on its name, so it is checked under that name
            trial = Path(place) / target.name
            shutil.copyfile(source, trial)
            with named(trial, name):
                refuse_format(trial)
                if not is_candidate(trial):
                    raise ReadError(f"{trial}: not a film: neither a DICOM file nor one of {', '.join(SUFFIXES)}")
                read_radiograph(trial)
            with written_beside(target) as part:
                shutil.copyfile(trial, part)
        return name


def _has_scores(table: Path) -> bool:
    _, first = next(rows(table, ("film", "symbol", "x", "y"), (), {"file": "film"}), ("", {}))
    return "score" in first


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_film(path: Path) -> bool:
    return is_candidate(path) and not path.name.lower().endswith((*NIFTI_SUFFIXES, *PILLOW_SUFFIXES))
