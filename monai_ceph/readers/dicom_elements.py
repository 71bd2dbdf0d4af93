"""Lenient access to DICOM elements, which may be absent, empty, damaged or of the wrong type.

No function here passes on an exception from pydicom: its text quotes values, and in a damaged file any element can hold
a patient's name.
"""

from __future__ import annotations

import re
from collections.abc import MutableSequence, Sized
from typing import Any

from monai_ceph.errors import ReadError

UID_PATTERN = r"[0-9][0-9.]{0,63}"
"""Regular expression of a UID: up to 64 digits and points (PS3.5 section 9.1). No path and no wildcard matches it."""

_UID = re.compile(UID_PATTERN)


def is_uid(text: str) -> bool:
    """True if a text is a UID, so that it can safely become part of a URL or a query."""
    return _UID.fullmatch(text) is not None


def value(dataset: Any, name: str) -> Any:
    """Return the value of an element; None if it is absent, empty or cannot be converted."""
    try:
        found = dataset.get(name)
    except Exception:  # pydicom's converters document none of their exceptions
        return None
    return None if found is None or (isinstance(found, str) and not found.strip()) else found


def given(dataset: Any, name: str) -> bool:
    """Return True if an element is present and not empty. A sequence is empty if it has no items.

    White space counts as empty in text only: as a binary number, the bytes space and line feed mean 2592.
    """
    if name not in dataset:
        return False
    element = dataset.get_item(name)
    stored = element.value  # the raw value: converting it could fail
    if isinstance(stored, (str, bytes)):
        return bool(stored.strip() if _is_text(name, element) else stored)
    # pydicom has already parsed sequences, including empty ones
    return stored is not None and (not isinstance(stored, Sized) or len(stored) > 0)


def _is_text(name: str, element: Any) -> bool:
    """Return True for a text VR, whose values are padded with spaces (PS3.5 section 6.2); from the file if it says."""
    from pydicom.datadict import dictionary_VR
    from pydicom.valuerep import STR_VR

    return (dictionary_VR(name) if element.VR in (None, "UN") else element.VR) in STR_VR


def numbers(dataset: Any, name: str) -> list[float]:
    """Return all numbers of an element; an empty list if it is absent or not numeric."""
    found = value(dataset, name)
    if found is None:
        return []
    several = not isinstance(found, (str, bytes)) and hasattr(found, "__iter__")
    try:
        return [float(item) for item in (found if several else [found])]
    except (TypeError, ValueError, OverflowError):
        return []


def number(dataset: Any, name: str, default: float) -> float:
    """Return the first number of an element; the default if there is none."""
    found = numbers(dataset, name)
    return found[0] if found else default


def integer(dataset: Any, name: str, default: int | None = None) -> int:
    """Return the single whole number of an element; the default if it is absent.

    Raises:
        ReadError: if the element is absent and there is no default, or is not one whole number.
    """
    if not given(dataset, name):
        if default is None:
            raise ReadError(f"damaged DICOM header: {name} is missing")
        return default
    found = numbers(dataset, name)
    if len(found) != 1 or not found[0].is_integer():
        raise ReadError(f"damaged DICOM header: {name} is not one whole number")
    return int(found[0])


def term(dataset: Any, name: str) -> str:
    """Return a code string in capitals; empty if it is absent or has several values."""
    found = value(dataset, name)
    return found.strip().upper() if isinstance(found, str) else ""


def uid(dataset: Any, name: str) -> str | None:
    """Return a UID; None if it is absent or contains anything but digits and dots."""
    found = str(value(dataset, name) or "")
    return found if is_uid(found) else None


def first_value(dataset: Any, name: str) -> Any:
    """The first of an element's values, None if it is absent, empty or cannot be converted."""
    found = value(dataset, name)
    if isinstance(found, MutableSequence):  # a list, or pydicom's MultiValue
        found = next(iter(found), None)
    return None if found is None or found == "" else found


def positive_number(dataset: Any, name: str) -> int:
    """A whole number above 0; 1 if the element is absent or holds anything else."""
    try:
        return max(1, min(int(first_value(dataset, name)), 2**31 - 1))
    except (TypeError, ValueError, OverflowError):
        return 1


def first_term(dataset: Any, name: str) -> str:
    """The first of an element's code strings in capitals, empty if it is absent."""
    return str(first_value(dataset, name) or "").strip().upper()
