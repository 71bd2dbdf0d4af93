"""Many films: a ledger, tables, files per film, and a state for every film, whatever ends the run."""

from monai_ceph.batch.run import detect_films
from monai_ceph.batch.summary import Summary
from monai_ceph.work.film import FilmJob, FilmWorker, Outcome
from monai_ceph.work.interruption import orderly_end
from monai_ceph.work.options import DEFAULT_FORMATS, DEFAULT_OBJECTS, FORMATS, OBJECT_FORMATS, Options, parse_formats

__all__ = [
    "DEFAULT_FORMATS",
    "DEFAULT_OBJECTS",
    "FORMATS",
    "OBJECT_FORMATS",
    "FilmJob",
    "FilmWorker",
    "Options",
    "Outcome",
    "Summary",
    "detect_films",
    "orderly_end",
    "parse_formats",
]
