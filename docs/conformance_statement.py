"""Writes the tables of docs/reference/conformance.md, the DICOM conformance statement by PS3.2: ``make conformance``.

What the code knows comes from the code: SOP classes, transfer syntaxes, limits, and the attributes of objects that are
made for it. The sentences between the tables are written by people. A test compares the page with what this writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from conformance_objects import attribute_tables
from pydicom.uid import UID
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from monai_ceph.archives.config import DicomSource, DicomTarget
from monai_ceph.archives.query import FIELDS
from monai_ceph.archives.selection import IMAGE_CLASSES
from monai_ceph.archives.targets import OBJECT_CLASSES, SENT_SYNTAXES
from monai_ceph.landmarks import CODING_SCHEME
from monai_ceph.pacs.config import AcceptConfig, HttpConfig, NodeConfig
from monai_ceph.pacs.receiver import NOT_OF_THE_CLASS, NOT_UNDERSTOOD, OUT_OF_RESOURCES, SUCCESS, TRANSFER_SYNTAXES
from monai_ceph.reports.loinc_codes import LOINC
from monai_ceph.reports.object_settings import BODY_PARTS, CEPHALOGRAM

PAGE = Path(__file__).parent / "reference" / "conformance.md"
BLOCK = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def page() -> str:
    """Return the page with new tables."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = {
        "classes": _overview(),
        "accepted_syntaxes": _syntaxes(TRANSFER_SYNTAXES),
        "proposed_syntaxes": _syntaxes(SENT_SYNTAXES),
    }
    blocks |= {
        "statuses": _statuses(),
        "keys": _query_keys(),
        "limits": _limits(),
        "addresses": _addresses(),
        "codes": _codes(),
    }
    blocks["objects"] = _objects()
    return BLOCK.sub(lambda found: "\n".join([f"<!-- {found[1]} -->", *blocks[found[1]], "<!-- end -->"]), text)


def _overview() -> list[str]:
    images = [(uid, uid in OBJECT_CLASSES, True) for uid in IMAGE_CLASSES]
    results = [(uid, True, False) for uid in OBJECT_CLASSES if uid not in IMAGE_CLASSES]
    others = [(Verification, False, True), (StorageCommitmentPushModel, True, True)]
    others += [(StudyRootQueryRetrieveInformationModelFind, True, False)]
    others += [(StudyRootQueryRetrieveInformationModelMove, True, False)]
    rows = [
        f"| {UID(uid).name} | `{uid}` | {'yes' if user else 'no'} | {'yes' if provider else 'no'} |"
        for uid, user, provider in (*images, *results, *others)
    ]
    return ["| SOP class | UID | user (SCU) | provider (SCP) |", "|---|---|---|---|", *rows]


def _syntaxes(uids: Iterable[object]) -> list[str]:
    rows = [f"| {UID(str(uid)).name} | `{uid}` |" for uid in uids]
    return ["| transfer syntax | UID |", "|---|---|", *rows]


def _statuses() -> list[str]:
    meanings = {
        SUCCESS: "success: the film is on disk and in the ledger, also if it is no cephalogram and will be skipped",
        OUT_OF_RESOURCES: "out of resources: no space, or too many films wait. Send again later",
        NOT_OF_THE_CLASS: "data set does not match SOP class: the object has another class or UID than the request",
        NOT_UNDERSTOOD: "cannot understand: the object cannot be parsed, or has no valid UID",
    }
    return ["| status | meaning |", "|---|---|", *(f"| {code:04X} | {text} |" for code, text in meanings.items())]


def _query_keys() -> list[str]:
    return ["| level | keys |", "|---|---|", *(f"| {level} | {', '.join(names)} |" for level, names in FIELDS.items())]


def _limits() -> list[str]:
    rows = []
    for name, field in AcceptConfig.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            rows.append(f"| `accept.{name}` | {field.default:g} |")
    return ["| key | default |", "|---|---|", *rows]


def _addresses() -> list[str]:
    rows = [f"| `{name}` | {NodeConfig.model_fields[name].default} |" for name in ("ae_title", "host", "port")]
    rows.append(f"| `http.host` | {HttpConfig.model_fields['host'].default} |")
    for section, model in (("targets", DicomTarget), ("sources", DicomSource)):
        rows += [
            f"| `{section}.dicom[].{name}` | |" for name in ("ae_title", "host", "port") if name in model.model_fields
        ]
    return ["| key | default |", "|---|---|", *rows]


def _codes() -> list[str]:
    rows = [f"| procedure reported | {CEPHALOGRAM.value} | {CEPHALOGRAM.scheme} | {CEPHALOGRAM.meaning} |"]
    for term, code in BODY_PARTS.items():
        rows.append(f"| body part {term} | {code.value} | {code.scheme} | {code.meaning} |")
    rows.append(f"| private terms | | {CODING_SCHEME} | [codes](codes.md) |")
    rows.append(f"| equivalents of private measurements | | {LOINC} | [codes](codes.md#measurements-that-loinc-has) |")
    return ["| what | code | scheme | meaning |", "|---|---|---|---|", *rows]


def _objects() -> list[str]:
    lines: list[str] = []
    for sop_class, table in attribute_tables():
        lines += [*([""] if lines else []), f"### {sop_class.name}", "", *table]
    return lines


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
