"""Options of a run: formats, workers, names, and the settings that its results depend on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from monai_ceph.errors import CephError
from monai_ceph.reports.measurement_record import DEFINITIONS_FILE
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.result import ModelIdentity

__all__ = [
    "DEFAULT_FORMATS",
    "DEFAULT_OBJECTS",
    "FORMATS",
    "LEDGER",
    "OBJECT_FORMATS",
    "PICTURE_FORMATS",
    "SENT_FORMATS",
    "FilmNames",
    "Options",
    "film_files",
    "parse_formats",
]

LEDGER = "run.sqlite"
"""The file in the results that records the state of every film."""

ERRORS = "errors.csv"
DUPLICATES = "duplicates.csv"
TABLES = {
    "csv": ("landmarks.csv", "measurements.csv"),
    "parquet": ("landmarks.parquet", "measurements.parquet"),
}
_PICTURES = {"overlay": ("overlays", ".png"), "tracing": ("tracings", ".svg"), "tracing-png": ("tracings", ".png")}
_OBJECTS = {name: (name, ".dcm") for name in ("sr", "gsps", "sc", "pdf")}
_FHIR = {"fhir": ("fhir", ".json")}
_PER_FILM = {"json": ("json", ".json"), "markups": ("markups", ".mrk.json"), **_PICTURES, **_OBJECTS, **_FHIR}

FORMATS = (*TABLES, *_PER_FILM)
"""All formats: tables of all films, then one file per film."""

OBJECT_FORMATS = frozenset(_OBJECTS)
"""Formats that are DICOM objects, which can be sent to archives."""

SENT_FORMATS = frozenset({*_OBJECTS, *_FHIR})
"""Formats that a node sends: DICOM objects, and FHIR bundles."""

DEFAULT_OBJECTS = frozenset({"sr", "gsps"})
"""Those that archives get if nothing is said."""

PICTURE_FORMATS = frozenset({*_PICTURES, "sc", "pdf"})
"""Those that show the film, and so what is burned into it."""

DEFAULT_FORMATS = frozenset({"csv", "json", "overlay"})

FilmNames = Literal["path", "uid"]
"""How films are named in the results."""


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes:
        formats: some of :data:`FORMATS`.
        workers: 1 works in this process and reads ahead; more are processes, each with its own model.
        film_timeout: time for one film in seconds. A process that takes longer is killed, so even one worker is a
            separate process. None: no limit.
        restart: delete the ledger and the files of earlier runs, and detect on every film. Otherwise films that ended
            with the same settings are skipped.
        retry_failed: try again films that failed, for example because a share was not mounted.
        names: ``path`` names a film by its path below the given folder; ``uid`` names DICOM films by their SOP Instance
            UIDs, for folders that are named after patients. Films behind a URL have ``uid`` names.
        deidentify: write results without identity and with replaced UIDs; implies ``uid`` names.
        force: also detect on films that do not look like a cephalogram.
        pixel_spacing: mm per pixel; replaces the pixel spacing in the files. Films whose pixels are not square fail.
        circles: draw on overlays, tracings and GSPS the circle in which each landmark lies in 90 % of cases.
        objects: settings of the DICOM objects.
    """

    formats: frozenset[str] = DEFAULT_FORMATS
    workers: int = 1
    film_timeout: float | None = None
    restart: bool = False
    retry_failed: bool = False
    names: FilmNames = "path"
    deidentify: bool = False
    force: bool = False
    pixel_spacing: float | None = None
    circles: bool = False
    objects: ObjectSettings = DEFAULT_SETTINGS

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be 1 or more, not {self.workers}")
        if self.film_timeout is not None and not 0 < self.film_timeout < math.inf:
            raise ValueError(f"film_timeout must be a positive number of seconds, not {self.film_timeout}")
        if self.names not in get_args(FilmNames):
            raise ValueError(f"names must be path or uid, not {self.names!r}")
        if unknown := self.formats - set(FORMATS):
            raise ValueError(f"no such format: {', '.join(sorted(unknown))}")

    def settings(self, model: ModelIdentity) -> str:
        """Return everything that a result depends on, as JSON. Films with equal settings are not detected on again."""
        return json.dumps(
            {
                "recipe_sha256": model.recipe_sha256,
                "weights_sha256": model.weights_sha256,
                "software": model.software,
                "pixel_spacing": self.pixel_spacing,
                "force": self.force,
                # tables are always written again from the ledger
                "formats": [name for name in _PER_FILM if name in self.formats],
                "names": "uid" if self.deidentify else self.names,
                "deidentify": self.deidentify,
                "circles": self.circles and not self.formats.isdisjoint(_WITH_CIRCLES),
                "objects": [] if self.formats.isdisjoint(OBJECT_FORMATS) else self.objects.identity,
            },
            sort_keys=True,
        )


# what shows circles on request
_WITH_CIRCLES = ("overlay", "tracing", "tracing-png", "gsps")


def parse_formats(words: Iterable[str]) -> frozenset[str]:
    """Return the formats in words such as ``["csv,json", "sr"]``. ``all`` means every format, no word the default.

    Without the extra ``report``, ``all`` has no ``pdf``, and without the extra ``fhir`` no ``fhir``.

    Raises:
        CephError: if a word is not a format.
    """
    names = [name.strip().lower() for word in words for name in word.split(",") if name.strip()]
    if unknown := [name for name in names if name not in (*FORMATS, "all")]:
        raise CephError(f"--formats {', '.join(unknown)}: no such format; use {', '.join(FORMATS)}, or all")
    if not names:
        return DEFAULT_FORMATS
    if "all" not in names:
        return frozenset(names)
    needs = {"pdf": "reportlab", "fhir": "fhir"}
    return frozenset(each for each in FORMATS if each not in needs or each in names or find_spec(needs[each]))


def film_files(out: Path, stem: str, formats: Collection[str] = FORMATS) -> dict[str, Path]:
    """Return the paths of a film's files by format, such as ``json/STEM.json``.

    Their names on the disk are UTF-8 in any locale: the locale's own encoding may lack a letter.
    """
    stem = os.fsdecode(stem.encode())
    return {name: out / folder / (stem + suffix) for name, (folder, suffix) in _PER_FILM.items() if name in formats}


def tables_of(formats: Collection[str]) -> list[str]:
    """Return the names of the files for all films that a run writes with these formats."""
    tables = [name for key, names in TABLES.items() if key in formats for name in names]
    return [*tables, ERRORS, DUPLICATES, *([DEFINITIONS_FILE] if "json" in formats else [])]


def film_folders(out: Path) -> list[Path]:
    """Return the folders with one file per film."""
    return [out / folder for folder, _ in _PER_FILM.values()]
