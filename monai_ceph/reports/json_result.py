"""A detection as JSON, and the schema that says what stands in it."""

from __future__ import annotations

import json
from pathlib import Path

from monai_ceph.reports.atomic import written_beside
from monai_ceph.result import Detection

__all__ = ["result_schema", "save_json"]


def save_json(target: Path, detection: Detection) -> None:
    """Write one film's detection, beside its place first.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        part.write_text(detection.model_dump_json(indent=2) + "\n", encoding="utf-8")


def result_schema() -> str:
    """Return the JSON Schema (draft 2020-12) of a detection, the text of ``docs/schema/detection-1.1.json``."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Detection.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
