"""The base class of film stores. Labels are files, and none is cached in memory.

MONAI Label's own local store does not fit: it lists no DICOM files and no subfolders, its index can get out of date,
and it confuses films whose names differ only in the suffix.
"""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore

from monai_ceph.analysis.scale import check_scale
from monai_ceph.errors import CephError
from monai_ceph.labelling.dataset import write_dataset
from monai_ceph.labelling.errors import NotThereError, RefusedError, named
from monai_ceph.labelling.label_map import SUFFIXES, names_of_values, read_label_map
from monai_ceph.labelling.markups import read_extra_landmarks, read_label_json
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.markups import SUFFIX, as_markups, write_markups
from monai_ceph.storage.atomic import written_beside

__all__ = ["FINAL", "ORIGINAL", "FilmStore", "authenticated_user", "observer", "plain_tag", "safe_name"]

logger = logging.getLogger(__name__)

FINAL, ORIGINAL = "final", "original"
_TAG = re.compile(r"\w[\w.-]{0,63}")

authenticated_user: ContextVar[str | None] = ContextVar("authenticated_user", default=None)
"""The user who sent the current request; None unless MONAI Label checked a token."""


def observer(info: dict[str, Any]) -> str | None:
    """Return who placed the landmarks: the authenticated user, else the observer that the client named, else None."""
    return authenticated_user.get() or str(info.get("observer") or info.get("client_id") or "").strip() or None


class FilmStore(Datastore):
    """Films, and the landmarks saved for them. Each label has a tag.

    A person saves labels as ``final``; the model's are ``original``. A label is a file with Slicer's markups, and an
    info file beside it. A label is checked before it is saved: one that is damaged or belongs to another film is
    refused, and nothing changes.

    Args:
        labels: folder of the labels. A label is ``<tag>/<film>.mrk.json`` in it.
    """

    def __init__(self, labels: Path) -> None:
        self._labels = labels
        self._title, self._description = "films", ""
        self._image_info: dict[str, dict[str, Any]] = {}

    @abstractmethod
    def film(self, image_id: str) -> tuple[str, Path]:
        """Return a film's canonical name, and its file on this machine.

        Raises:
            NotThereError: there is no such film.
        """

    def canonical(self, image_id: str) -> str:
        """Return a film's canonical name, without fetching its file.

        Raises:
            NotThereError: there is no such film.
        """
        return self.film(image_id)[0]

    def name(self) -> str:
        """Return the title."""
        return self._title

    def set_name(self, name: str) -> None:
        """Set the title. It is lost when the server stops."""
        self._title = name

    def description(self) -> str:
        """Return the description."""
        return self._description

    def set_description(self, description: str) -> None:
        """Set the description. It is lost when the server stops."""
        self._description = description

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of a film."""
        return str(self.film(image_id)[1])

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO:
        """Return the bytes of a film."""
        return io.BytesIO(self.film(image_id)[1].read_bytes())

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return the film's name, and the notes that strategies added since the server started."""
        name = self.canonical(image_id)
        return {"name": name, **self._image_info.get(name, {})}

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add notes about a film. They are lost when the server stops."""
        self._image_info.setdefault(self.canonical(image_id), {}).update(info)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse to add a film. :class:`~monai_ceph.labelling.folder_store.FolderStore` overrides this."""
        raise RefusedError("films cannot be added through this server")

    def remove_image(self, image_id: str) -> None:
        """Refuse to remove a film: the server never does."""
        raise RefusedError("this server never removes films")

    def points(self, image_id: str, tag: str = FINAL) -> np.ndarray:
        """Return saved landmarks: (19, 2), (row, column) in source pixels, NaN where not annotated.

        Raises:
            NotThereError: there is no such film or label.
            CephError: the label's file is damaged.
        """
        name, path = self.film(image_id)
        label = self.get_label_uri(name, tag)
        if not label:
            raise NotThereError(f"{name} has no label {tag!r}")
        return read_label_json(Path(label), placement_of(path))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Save a client's landmarks: markups, a detection as JSON, or a label map.

        With a label map, the key ``label_info`` of the argument ``label_info`` names the values, see
        :func:`monai_ceph.labelling.label_map.names_of_values`.

        Raises:
            NotThereError: there is no such film.
            CephError: the file is not a label for this film. Nothing is saved.
        """
        name, film = self.film(image_id)
        label, tag = Path(label_filename), plain_tag(label_tag)
        with named(film, name), named(label, "the label"):
            points, extra = self._read_label(label, film, label_info or {})
            self._save_points(name, film, points, dict(label_info or {}), tag, extra)
        return name

    @staticmethod
    def _read_label(label: Path, film: Path, info: dict[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the landmarks that the model also finds, and by symbol those that only people place."""
        placement = placement_of(film)
        if label.name.lower().endswith(SUFFIXES):
            names = info.get("label_info")
            return read_label_map(label, placement.size, names_of_values(names) if names else None), {}
        image_uid = read_radiograph(film).image_uid
        return read_label_json(label, placement, image_uid), read_extra_landmarks(label, placement, image_uid)

    def _save_points(
        self,
        name: str,
        film: Path,
        points: np.ndarray,
        info: dict[str, Any],
        tag: str,
        extra: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        target = self._file(name, tag)
        info = {**info, "ts": int(time.time()), "name": target.name}
        scaled = check_scale(read_radiograph(film), points).pixel_spacing is not None
        write_markups(target, as_markups(points, placement_of(film), millimetres=scaled, extra=extra))
        self._write_info(target, info)
        logger.info("label %s of %s saved", tag, name)

    def _write_info(self, target: Path, info: dict[str, Any]) -> None:
        with written_beside(_info_file(target)) as part:
            part.write_text(json.dumps(info, indent=1, default=str), encoding="utf-8")

    def _read_info(self, target: Path) -> dict[str, Any]:
        file = _info_file(target)
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def _file(self, name: str, tag: str) -> Path:
        return self._folder(tag) / f"{safe_name(name)}{SUFFIX}"

    def _folder(self, tag: str) -> Path:
        """Return the folder of a tag. Clients choose the tag, so it must not lead out of the folder of labels."""
        tag = plain_tag(tag)
        if not _TAG.fullmatch(tag):
            raise CephError(f"{tag!r} is not a valid tag. Use letters, digits, '.', '_' and '-'")
        return self._labels / tag

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label's markups, empty if there is no label."""
        target = self._file(self.canonical(label_id), plain_tag(label_tag))
        return str(target) if target.is_file() else ""

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> io.BytesIO | None:
        """Return the bytes of a label's markups."""
        path = self.get_label_uri(label_id, label_tag)
        return io.BytesIO(Path(path).read_bytes()) if path else None

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """Return the info of a label, empty if there is no label."""
        path = self.get_label_uri(label_id, label_tag)
        return self._read_info(Path(path)) if path else {}

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to the info of a label."""
        path = self.get_label_uri(label_id, label_tag)
        if not path:
            raise NotThereError(f"{label_id} has no label {label_tag!r}")
        self._write_info(Path(path), {**self.get_label_info(label_id, label_tag), **info})

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label."""
        path = self.get_label_uri(label_id, label_tag)
        if not path:
            raise NotThereError(f"{label_id} has no label {label_tag!r}")
        Path(path).unlink()
        _info_file(Path(path)).unlink(missing_ok=True)

    def tags(self) -> list[str]:
        """Return the tags that have labels."""
        found = self._labels.iterdir() if self._labels.is_dir() else iter(())
        return sorted(folder.name for folder in found if folder.is_dir() and _TAG.fullmatch(folder.name))

    def labelled(self, tag: str = FINAL) -> set[str]:
        """Return the names of the films that have a label.

        Raises:
            CephError: the tag is not valid.
        """
        folder = self._folder(tag)
        return {path.relative_to(folder).as_posix().removesuffix(SUFFIX) for path in folder.rglob(f"*{SUFFIX}")}

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Return the film's name for every tag under which it has a label."""
        name = self.canonical(image_id)
        return {tag: name for tag in self.tags() if self.get_label_uri(name, tag)}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """Return the film's name if it has a label with this tag, else an empty string."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_labeled_images(self, label_tag: str | None = None, labels: Sequence[str] | None = None) -> list[str]:
        """Return the films that a person labelled."""
        labelled = self.labelled(label_tag or FINAL)
        return [name for name in self.list_images() if name in labelled]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: Sequence[str] | None = None) -> list[str]:
        """Return the films that nobody labelled."""
        labelled = self.labelled(label_tag or FINAL)
        return [name for name in self.list_images() if name not in labelled]

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the films that a person labelled, with their files."""
        return [
            {"image": self.get_image_uri(name), "label": self.get_label_uri(name, FINAL)}
            for name in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return the path of a ZIP file with the labelled films and their landmarks.csv: a dataset folder."""
        with tempfile.TemporaryDirectory() as folder:
            written = write_dataset(self, Path(folder), copies=True, limit=limit_cases)
            if not written:
                raise NotThereError("no film is labelled, so there is nothing to download")
            with tempfile.NamedTemporaryFile(prefix="dataset-", suffix=".zip", delete=False) as file:
                target = file.name
            return shutil.make_archive(target.removesuffix(".zip"), "zip", folder)

    def refresh(self) -> None:
        """Do nothing: nothing is cached."""

    def status(self) -> dict[str, Any]:
        """Return the counts of films and labels."""
        images = self.list_images()
        known = set(images)
        counts = {tag: len(known & self.labelled(tag)) for tag in {*self.tags(), FINAL}}
        return {"total": len(images), "completed": counts[FINAL], "label_tags": {k: v for k, v in counts.items() if v}}

    def json(self) -> dict[str, Any]:
        """Return all films and labels in the format of MONAI Label's local store, which clients read."""
        labelled = {tag: self.labelled(tag) for tag in {*self.tags(), FINAL}}
        objects = {}
        for name in self.list_images():
            labels = {
                tag: {"ext": SUFFIX, "info": self.get_label_info(name, tag)}
                for tag, names in labelled.items()
                if name in names
            }
            objects[name] = {"image": {"ext": "", "info": self._image_info.get(name, {})}, "labels": labels}
        return {"name": self.name(), "description": self.description(), "objects": objects}


def plain_tag(tag: str) -> str:
    """Return a tag as a string: MONAI Label's own tags are members of an enumeration."""
    return str(getattr(tag, "value", tag))


def safe_name(name: str) -> str:
    """Return a film's name after checking that, as a path, it stays inside a folder.

    Raises:
        NotThereError: the path would lead out of the folder.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise NotThereError(f"no film is called {name!r}")
    return name


def _info_file(target: Path) -> Path:
    return target.with_name(target.name.removesuffix(SUFFIX) + ".info.json")
