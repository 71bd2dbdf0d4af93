"""What a DICOMweb service answers to STOW-RS, and whether it says that an object is stored (PS3.18 10.5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from pydicom import Dataset

from monai_ceph.readers.dicom_elements import value

__all__ = ["StoreAnswer", "read_all_media_types", "refusal_of", "store_answer"]

# PS3.18 table 10.5.3-1 and PS3.3 table C.12-10a; a service may add codes of its own
_WARNINGS = {
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
}


@dataclass(frozen=True)
class StoreAnswer:
    """What a service said of one object that was sent to it.

    Attributes:
        stored: the service names the object as stored.
        text: the answer in words: a warning that goes with a stored object, or why it does not count as stored.
    """

    stored: bool
    text: str


def store_answer(answer: Dataset, sop_instance_uid: str) -> StoreAnswer:
    """Read a store response.

    An object is stored if an item of ReferencedSOPSequence (0008,1199) has its UID, and none of FailedSOPSequence
    (0008,1198) does. HTTP status 200 alone says little: proxies and login pages give it, too.

    Args:
        answer: the data set of the response; empty if it had none.
        sop_instance_uid: of the object that was sent.
    """
    failed = list(_items(answer, "FailedSOPSequence"))
    ours = [item for item in failed if _uid(item) == sop_instance_uid]
    stored = [item for item in _items(answer, "ReferencedSOPSequence") if _uid(item) == sop_instance_uid]
    if stored and not ours:
        code = _code(stored[0], "WarningReason")
        if code is None:
            return StoreAnswer(True, "stored")
        meaning = _WARNINGS.get(code)
        return StoreAnswer(True, f"stored with warning {code:04X}" + (f" ({meaning})" if meaning else ""))
    # one object was sent, so a failure that names no UID, or another one, is about it as well
    if failed:
        code = _code((ours or failed)[0], "FailureReason")
        return StoreAnswer(False, "failed, without a reason" if code is None else f"failure reason {code:04X}")
    return StoreAnswer(False, "the answer does not say that the object is stored")


def refusal_of(response: requests.Response | None) -> str:
    """Return what an HTTP error says: its status, and the failure reason if it has one."""
    if response is None:
        return "no HTTP status"
    text = f"HTTP {response.status_code}"
    try:
        failed = next(_items(Dataset.from_json(response.json()), "FailedSOPSequence"), None)
    except Exception:  # an error may have any body
        return text
    code = _code(failed, "FailureReason") if failed is not None else None
    return text if code is None else f"{text}, failure reason {code:04X}"


def read_all_media_types(session: requests.Session) -> None:
    """Have dicomweb-client read store responses whose media type has parameters or another usual name.

    The client compares the whole header with four names. What it does not know, such as
    ``application/dicom+json; charset=utf-8``, it returns as an empty data set, as if nothing had been answered.
    """
    session.hooks["response"].append(_plain_media_type)


def _plain_media_type(response: requests.Response, *args: Any, **options: Any) -> None:
    # the parameters of a multipart answer to a GET are needed
    if response.request.method != "POST":
        return
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    # an answer without a type is refused where it is read: the client looks the header up without asking
    response.headers["Content-Type"] = {"text/json": "application/json", "text/xml": "application/xml"}.get(
        media_type, media_type
    )


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a sequence; JSON and XML can hold anything in its place."""
    try:
        items = list(dataset.get(keyword) or ())
    except Exception:
        return
    yield from (item for item in items if isinstance(item, Dataset))


def _uid(item: Dataset) -> str:
    return str(value(item, "ReferencedSOPInstanceUID") or "").strip("\0 ")


def _code(item: Dataset, keyword: str) -> int | None:
    try:
        return int(value(item, keyword))
    except (TypeError, ValueError, OverflowError):  # absent, or no number
        return None
