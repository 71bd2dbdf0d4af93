"""Storing an object in a DICOMweb service by STOW-RS, and finding out whether it was stored (PS3.18 10.5.3).

A service whose answer does not say so is asked by QIDO-RS (PS3.18 10.6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from pydicom import Dataset

from monai_ceph.errors import CephError
from monai_ceph.readers.dicom_elements import value
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["Answer", "TargetError", "read_all_media_types", "stow"]

# PS3.18 table 10.5.3-1 and PS3.3 table C.12-10a; a service may add codes of its own
_WARNINGS = {
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
}


# the fault is in the object, not in the service or the login
_OBJECT_REFUSED = (400, 409, 415, 422)


_MOST_IN_A_SERIES = 1000
_UNTOLD = "the answer does not say that the object is stored"


class TargetError(CephError):
    """A target cannot take any object at the moment."""


@dataclass(frozen=True)
class Answer:
    """A target's answer about one object.

    Attributes:
        taken: the target says that it stored the object.
        text: the answer in words: a warning about a stored object, or why it does not count as stored.
    """

    taken: bool
    text: str


def stow(client: Any, dataset: Dataset, verify: bool = False) -> Answer:
    """Store one object.

    Args:
        client: a ``DICOMwebClient``, see :func:`monai_ceph.archives.dicomweb.dicomweb`.
        dataset: the object.
        verify: ask by QIDO-RS even if the answer says that the object is stored.

    Raises:
        TargetError: the service does not answer, or refuses whatever is sent.
    """
    try:
        with quiet():
            answer: Dataset = client.store_instances([dataset])
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        refusal = _refusal(error.response)
        if code in _OBJECT_REFUSED:
            return Answer(False, refusal)
        raise TargetError(refusal) from error
    except (requests.RequestException, OSError) as error:
        raise TargetError(f"no answer: {type(error).__name__}") from error
    except Exception as error:  # the client documents few of its exceptions
        raise TargetError(f"the answer is not DICOMweb: {type(error).__name__}") from error
    said = _store_answer(answer, str(dataset.SOPInstanceUID))
    if said.text != _UNTOLD and not (verify and said.taken):
        return said
    found, text = _asked(client, dataset)
    return Answer(found, f"{said.text}, {'but' if said.taken is not found else 'and'} {text}")


def _asked(client: Any, dataset: Dataset) -> tuple[bool, str]:
    """Ask by QIDO-RS whether the service has an object. Return whether, and what it said in words."""
    uid = str(dataset.SOPInstanceUID)
    try:
        with quiet():
            answers = client.search_for_instances(
                str(dataset.StudyInstanceUID),
                str(dataset.SeriesInstanceUID),
                search_filters={"SOPInstanceUID": uid},
                # some services ignore the filter
                limit=_MOST_IN_A_SERIES,
            )
            uids = {str(value(Dataset.from_json(answer), "SOPInstanceUID") or "") for answer in answers}
    except requests.HTTPError as error:
        return False, f"QIDO-RS answers {_refusal(error.response)}"
    except Exception as error:  # the client documents few of its exceptions
        return False, f"QIDO-RS does not answer: {type(error).__name__}"
    return (True, "QIDO-RS finds it") if uid in uids else (False, "QIDO-RS does not find it")


def _store_answer(answer: Dataset, sop_instance_uid: str) -> Answer:
    """Read a store response.

    An object is stored if an item of ReferencedSOPSequence (0008,1199) has its UID, and none of FailedSOPSequence
    (0008,1198) does. HTTP status 200 is not enough: proxies and login pages send it, too.

    Args:
        answer: the data set of the response, empty if it had none.
        sop_instance_uid: of the object that was sent.
    """
    failed = list(_items(answer, "FailedSOPSequence"))
    ours = [item for item in failed if _uid(item) == sop_instance_uid]
    stored = [item for item in _items(answer, "ReferencedSOPSequence") if _uid(item) == sop_instance_uid]
    if stored and not ours:
        code = _code(stored[0], "WarningReason")
        if code is None:
            return Answer(True, "stored")
        meaning = _WARNINGS.get(code)
        return Answer(True, f"stored with warning {code:04X}" + (f" ({meaning})" if meaning else ""))
    # only one object was sent, so any failure is about it, even with no UID or another one
    if failed:
        code = _code((ours or failed)[0], "FailureReason")
        return Answer(False, "failed, without a reason" if code is None else f"failure reason {code:04X}")
    return Answer(False, _UNTOLD)


def _refusal(response: requests.Response | None) -> str:
    """Return the status of an HTTP error, and the failure reason if it has one."""
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
    """Make dicomweb-client read store responses whose media type has parameters or another usual name.

    The client compares the whole header with four names. For any other, such as
    ``application/dicom+json; charset=utf-8``, it returns an empty data set.
    """
    session.hooks["response"].append(_plain_media_type)


def _plain_media_type(response: requests.Response, *args: Any, **options: Any) -> None:
    # a multipart answer to a GET needs its parameters
    if response.request.method != "POST":
        return
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    # the client raises KeyError without this header; with an empty one it returns an empty data set
    response.headers["Content-Type"] = {"text/json": "application/json", "text/xml": "application/xml"}.get(
        media_type, media_type
    )


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a sequence; nothing if JSON or XML holds something else there."""
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
