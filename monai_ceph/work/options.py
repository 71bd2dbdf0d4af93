"""What a run is told: formats, workers, names, and the settings that a result depends on."""

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
from monai_ceph.result import ModelIdentity

__all__ = [
    "DEFAULT_FORMATS",
    "DEFAULT_OBJECTS",
    "FORMATS",
    "LEDGER",
    "OBJECT_FORMATS",
    "PICTURE_FORMATS",
    "FilmNames",
    "Options",
    "film_files",
    "parse_formats",
]

LEDGER = "run.sqlite"
"""The file in the results that says how every film ended."""

ERRORS = "errors.csv"
DUPLICATES = "duplicates.csv"
TABLES = {
    "csv": ("landmarks.csv", "measurements.csv"),
    "parquet": ("landmarks.parquet", "measurements.parquet"),
}
_PICTURES = {"overlay": ("overlays", ".png"), "tracing": ("tracings", ".svg"), "tracing-png": ("tracings", ".png")}
_OBJECTS = {name: (name, ".dcm") for name in ("sr", "gsps", "sc", "pdf")}
_PER_FILM = {"json": ("json", ".json"), **_PICTURES, **_OBJECTS}

FORMATS = (*TABLES, *_PER_FILM)
"""What can be written: tables of all films, then one file per film."""

OBJECT_FORMATS = frozenset(_OBJECTS)
"""Those that are DICOM objects, which archives take."""

DEFAULT_OBJECTS = frozenset({"sr", "gsps"})
"""Those that archives get if nothing is said."""

PICTURE_FORMATS = frozenset({*_PICTURES, "sc", "pdf"})
"""Those that show the film, and so what is burned into it."""

DEFAULT_FORMATS = frozenset({"csv", "json", "overlay"})

FilmNames = Literal["path", "uid"]
"""What films are called in the results."""


@dataclass(frozen=True)
class Options:
    """How a run goes.

    Attributes:
        formats: of :data:`FORMATS`.
        workers: 1 works in this process and reads ahead; more are processes that each hold the model.
        film_timeout: seconds that a film may take; the process of one that takes longer is ended, so that even one
            worker is a process of its own. None: no limit.
        restart: delete the ledger and the files that earlier runs wrote, and detect on every film; otherwise films that
            ended with the same settings are skipped.
        retry_failed: do again what failed before, such as on a share that was not there.
        names: ``path`` names a film by its path below the folder that was given; ``uid`` names DICOM films by their SOP
            Instance UIDs, for folders that are named after patients. Films behind a URL have ``uid`` names.
        deidentify: write results without identity and with replaced UIDs; implies ``uid`` names.
        force: keep what does not look like a cephalogram.
        pixel_spacing: mm, replaces what the files say. Films whose pixels are not square fail.
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
        """Return, as JSON, all that a film's result depends on: equal settings need no second detection."""
        return json.dumps(
            {
                "recipe_sha256": model.recipe_sha256,
                "weights_sha256": model.weights_sha256,
                "software": model.software,
                "pixel_spacing": self.pixel_spacing,
                "force": self.force,
                # a table is written anew from the ledger in any case
                "formats": [name for name in _PER_FILM if name in self.formats],
                "names": "uid" if self.deidentify else self.names,
                "deidentify": self.deidentify,
            },
            sort_keys=True,
        )


def parse_formats(words: Iterable[str]) -> frozenset[str]:
    """Return the formats of words such as ``["csv,json", "sr"]``; ``all`` is every format, nothing the default.

    Without the extra ``report``, ``all`` has no ``pdf``.

    Raises:
        CephError: for a word that is no format.
    """
    names = [name.strip().lower() for word in words for name in word.split(",") if name.strip()]
    if unknown := [name for name in names if name not in (*FORMATS, "all")]:
        raise CephError(f"--formats {', '.join(unknown)}: no such format; there are {', '.join(FORMATS)}, and all")
    if not names:
        return DEFAULT_FORMATS
    if "all" not in names:
        return frozenset(names)
    return frozenset(name for name in FORMATS if name != "pdf" or name in names or find_spec("reportlab") is not None)


def film_files(out: Path, stem: str, formats: Collection[str] = FORMATS) -> dict[str, Path]:
    """Return where a film's own files stand, by format, such as ``json/STEM.json``.

    Their names are UTF-8 on the disk, also where the locale has another encoding, which may lack a letter.
    """
    stem = os.fsdecode(stem.encode())
    return {name: out / folder / (stem + suffix) for name, (folder, suffix) in _PER_FILM.items() if name in formats}


def tables_of(formats: Collection[str]) -> list[str]:
    """Return the names of the tables that a run with these formats writes."""
    return [*(name for key, names in TABLES.items() if key in formats for name in names), ERRORS, DUPLICATES]


def film_folders(out: Path) -> list[Path]:
    """Return the folders that hold one file per film."""
    return [out / folder for folder, _ in _PER_FILM.values()]
