"""A detection as JSON, and its JSON Schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from monai_ceph.errors import CephError
from monai_ceph.reports.measurement_record import MeasurementRecord
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["may_replace", "read_detection", "result_json", "result_schema", "save_json"]


class _FilmResult(Detection):
    """What is written: a detection and what follows from it. A reader of detections drops the measurements."""

    model_config = ConfigDict(title="Detection")

    measurements: tuple[MeasurementRecord, ...] = Field(
        description="angles, ratios and lengths; measurement_definitions.json says what each is"
    )


def save_json(target: Path, detection: Detection) -> None:
    """Write the detection of one film and its measurements, atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        part.write_text(result_json(detection), encoding="utf-8")


def result_json(detection: Detection) -> str:
    """Return the text that :func:`save_json` writes: the detection and its measurements, one on a line."""
    film = detection.model_dump_json(indent=2).removesuffix("\n}")
    records = ",\n    ".join(MeasurementRecord.of(each).model_dump_json() for each in detection.measure())
    return f'{film},\n  "measurements": [\n    {records}\n  ]\n}}\n'


def read_detection(path: Path) -> Detection:
    """Read the JSON of a film.

    Raises:
        CephError: it cannot be read, or is no result of this package; the message names the file.
    """
    try:
        return Detection.model_validate_json(path.read_bytes())
    except CephError as error:
        raise CephError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CephError(f"{path}: not a result of monai-ceph: {place + ': ' if place else ''}{first['msg']}") from error
    except OSError as error:
        raise CephError(f"{path}: {error.strerror or error}") from error


def may_replace(target: Path, keys: Iterable[str]) -> bool:
    """Return whether a file of figures may be written: it does not exist, is empty, or holds such figures.

    Args:
        target: the file.
        keys: top-level keys that all such files have.
    """
    if not os.path.lexists(target):
        return True
    try:
        text = target.read_text(encoding="utf-8")
        figures = json.loads(text) if text else None
    except (OSError, ValueError, RecursionError):
        return False
    return not text or (isinstance(figures, dict) and figures.keys() >= set(keys))


def result_schema() -> str:
    """Return the JSON Schema (draft 2020-12) of a detection, the text in ``docs/reference/schema``."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_FilmResult.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
