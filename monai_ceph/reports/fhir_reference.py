"""What a node needs to know of a FHIR bundle, without the modules that make one."""

from __future__ import annotations

import json
from pathlib import Path

from monai_ceph.reports.header_identity import ObjectReference

__all__ = ["NO_FHIR", "bundle_reference"]

NO_FHIR = "fhir.resources is not installed: pip install 'monai-ceph[fhir]'"
"""Why there is no bundle."""


def bundle_reference(path: Path) -> ObjectReference:
    """Return the study and the identifier of a bundle that this software wrote.

    Raises:
        OSError: it cannot be read.
    """
    bundle = json.loads(path.read_text(encoding="utf-8"))
    study = bundle["entry"][0]["resource"]["identifier"][0]["value"]
    return ObjectReference(_uid(study), "", "", _uid(bundle["identifier"]["value"]))


def _uid(value: str) -> str:
    return value.removeprefix("urn:oid:")
