"""Headers and detections without identity, so that the objects made from them hold none.

The Basic Application Level Confidentiality Profile of PS3.15 annex E, table E.1-1, as dicom-anonymizer has it. That
library would insert random UIDs and dates in year 1, and leave sequence items as they are. Here UIDs are derived, dates
are removed, and sequences are cleaned at every depth.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timezone
from functools import cache
from typing import Any

from dicomanonymizer.simpledicomanonymizer import (
    anonymize_dataset,
    delete,
    empty,
    empty_or_replace,
    initialize_actions,
    replace_UID,
)
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue

from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.reports.dicom_source import INHERITED
from monai_ceph.reports.dicom_uids import derived_uid
from monai_ceph.result import Detection

__all__ = ["deidentified", "deidentified_detection", "deidentified_uid", "may_show_identity"]

_TABLE = "dicomfields_2026c"
_METHOD = "PS3.15 Basic Application Level Confidentiality Profile"
_NO_DATE = datetime(1970, 1, 1, tzinfo=timezone.utc)

_Action = Callable[[Dataset, Any], None]


def deidentified_uid(uid: str, key: str = "") -> str:
    """Return the replacement of a UID, always the same for the same UID and key.

    Args:
        uid: UID of a study, a series, an image or anything else.
        key: a secret. Without one, anyone who has the UID can compute its replacement.
    """
    return derived_uid("deidentified", key, uid)


def deidentified(source: Dataset, key: str = "") -> Dataset:
    """Return a de-identified copy of a header, by the basic profile of PS3.15 table E.1-1.

    Names, identifiers, dates, times, addresses, comments, private elements and overlays are removed or emptied at every
    depth, UIDs are replaced by :func:`deidentified_uid`, and the header says so. Pixels are not changed.

    Args:
        source: a header, from :func:`monai_ceph.reports.dicom_source.source_header`. It is not changed.
        key: a secret; see :func:`deidentified_uid`.
    """
    with quiet():
        result = deepcopy(source)
        for name in INHERITED:
            # text in an unknown character set, which the library does not remove
            if isinstance(result.get(name), bytes):
                result[name] = DataElement(name, dictionary_VR(name), None)
        _clean(result, key)
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = _METHOD
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    result.DeidentificationMethodCodeSequence = [code]
    result.LongitudinalTemporalInformationModified = "REMOVED"
    return result


def deidentified_detection(detection: Detection, key: str = "") -> Detection:
    """Return the detection for the de-identified film: new UIDs, no file name, and no time (1970-01-01).

    Args:
        detection: result for the original film.
        key: the same key as for :func:`deidentified`, so that the UIDs match.
    """
    uids = {
        name: deidentified_uid(uid, key) if (uid := getattr(detection, name)) else None
        for name in ("study_uid", "series_uid", "image_uid")
    }
    return detection.model_copy(update={**uids, "file": uids["image_uid"] or "film", "created": _NO_DATE})


def may_show_identity(source: Dataset) -> str | None:
    """Return a sentence on why a picture of the film may identify the patient, or None if its header excludes that.

    Only BurnedInAnnotation NO excludes it (PS3.3 C.7.6.1): the pixels are not searched for text.
    """
    burned_in = str(source.get("BurnedInAnnotation") or "").strip().upper()
    if burned_in == "YES":
        return "BurnedInAnnotation is YES: there is text in the pixels that may name the patient."
    if burned_in != "NO":
        return "The film does not say that its pixels hold no text (BurnedInAnnotation NO)."
    if str(source.get("RecognizableVisualFeatures") or "").strip().upper() == "YES":
        return "RecognizableVisualFeatures is YES: the patient may be recognised in the picture."
    return None


def _clean(dataset: Dataset, key: str) -> None:
    anonymize_dataset(dataset, base_rules_gen=lambda: _rules(key))
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _clean(item, key)


@cache
def _rules(key: str) -> dict[tuple[int, ...], _Action]:
    def new_uid(dataset: Dataset, tag: Any) -> None:
        if element := dataset.get(tag):
            several = isinstance(element.value, (list, MultiValue))
            uids = [deidentified_uid(str(uid), key) for uid in (element.value if several else [element.value]) if uid]
            element.value = uids if several else next(iter(uids), "")

    return {
        tag: new_uid if action is replace_UID else _strict(action) for tag, action in initialize_actions(_TABLE).items()
    }


def _strict(action: _Action) -> _Action:
    """Return the library's action where it empties or inserts fixed text; other elements are removed."""
    if action is empty_or_replace:
        # Z/D allows an empty value; a fixed dummy ID would turn all patients into one
        action = empty

    def apply(dataset: Dataset, tag: Any) -> None:
        if (element := dataset.get(tag)) is None:
            return
        if action is delete or element.VR in ("DA", "DT", "TM", "SQ", "UI"):
            del dataset[tag]
            return
        try:
            action(dataset, tag)
        except (NotImplementedError, TypeError, ValueError):
            del dataset[tag]

    return apply
