"""What those who keep and send FHIR bundles need to know of them, without the modules that make one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_ceph.reports.header_identity import ObjectReference

__all__ = ["NO_FHIR", "bundle_json", "bundle_reference", "bundle_uid"]

NO_FHIR = "fhir.resources is not installed: pip install 'monai-ceph[fhir]'"
"""Why there is no bundle."""


def bundle_reference(path: Path) -> ObjectReference:
    """Return the study and the identifier of a bundle that this software wrote.

    Raises:
        OSError: it cannot be read.
    """
    bundle = json.loads(path.read_text(encoding="utf-8"))
    study = bundle["entry"][0]["resource"]["identifier"][0]["value"]
    return ObjectReference(_uid(study), "", "", bundle_uid(bundle))


def bundle_uid(bundle: Mapping[str, Any]) -> str:
    """Return the identifier of a bundle, which is also that of its report."""
    return _uid(bundle["identifier"]["value"])


def bundle_json(bundle: Mapping[str, Any]) -> str:
    """Return the text of a bundle as files have it."""
    return json.dumps(bundle, indent=2, ensure_ascii=False) + "\n"


def _uid(value: str) -> str:
    return value.removeprefix("urn:oid:")
