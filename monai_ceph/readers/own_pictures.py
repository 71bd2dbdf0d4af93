"""Pictures that this package makes of films, told from films: nothing detects on its own output."""

from __future__ import annotations

from typing import Any

from monai_ceph.readers.dicom_elements import first_term, first_value, uid

__all__ = ["MANUFACTURER", "SERIES_DESCRIPTION", "is_own_picture"]

MANUFACTURER = "monai-ceph"
"""Manufacturer in every object that this package makes."""

SERIES_DESCRIPTION = "Cephalometric landmarks, unreviewed"
"""Description of the series of every such object."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def is_own_picture(header: Any) -> bool:
    """Return whether a header, or an archive's answer about an image or a series, is of a picture that we made."""
    kind = uid(header, "SOPClassUID")
    if kind not in (None, _SECONDARY_CAPTURE):
        return False
    described = str(first_value(header, "SeriesDescription") or "").strip() == SERIES_DESCRIPTION
    made = str(first_value(header, "Manufacturer") or "").strip() == MANUFACTURER
    return described or (made and kind is not None and first_term(header, "ImageType") == "DERIVED")
