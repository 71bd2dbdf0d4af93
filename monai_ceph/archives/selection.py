"""Which objects are cephalograms, by what a header or the answer to a query says, before pixels are moved or read.

Panoramic units take cephalograms too, and name them freely; see docs/deployment.md for how to make it stricter. What
is no radiograph at all, our own reports among them, is never one, so that answers cannot go round in a circle.
"""

from __future__ import annotations

import re

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.readers.dicom_elements import first_term, first_value, positive_number

__all__ = ["IMAGE_CLASSES", "Selection"]

IMAGE_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # the same, for processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.2",  # multi-frame, grayscale byte
    "1.2.840.10008.5.1.4.1.1.7.3",  # multi-frame, grayscale word
    "1.2.840.10008.5.1.4.1.1.7.4",  # multi-frame, true colour
)
"""SOP Class UIDs of the objects that may hold a cephalogram."""

_SERIES_TEXTS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_CODES = ("ViewCodeSequence", "AnatomicRegionSequence")


class Selection:
    """Says why an object is not taken for a cephalogram.

    Args:
        config: the rules.
    """

    def __init__(self, config: SelectionConfig) -> None:
        self._config = config
        self._include = re.compile(config.include, re.IGNORECASE)
        self._exclude = re.compile(config.exclude, re.IGNORECASE)

    def refusal(self, header: Dataset) -> str | None:
        """Return why an object with this header is not taken, without a word that it quotes from descriptions; or None.

        Args:
            header: of a file, or what a query says of an instance or series. What is not in it, refuses nothing.
        """
        kind = str(first_value(header, "SOPClassUID") or "")
        if kind and kind not in IMAGE_CLASSES:
            return f"{_class_name(kind)} is no image that may hold a cephalogram"
        modality = first_term(header, "Modality")
        if modality and modality not in self._config.modalities:
            return f"Modality {_shown(modality)} is not among those of the configuration"
        if positive_number(header, "NumberOfFrames") > self._config.max_frames:
            return f"it has more than {self._config.max_frames} frames"
        positioner = first_term(header, "PositionerType")
        if positioner == "CEPHALOSTAT":
            return None
        if positioner in ("PANORAMIC", "MAMMOGRAPHIC"):
            return f"PositionerType {positioner}"
        # what is said of the series counts more than what is said of the study, which may hold other films too
        for texts in ([*_texts(header, _SERIES_TEXTS), *_meanings(header)], _texts(header, ("StudyDescription",))):
            if any(self._include.search(text) for text in texts):
                return None
            if any(self._exclude.search(text) for text in texts):
                return "a description says that it is another kind of image (select.exclude)"
        part = first_term(header, "BodyPartExamined")
        if part and part not in self._config.body_parts:
            return "BodyPartExamined is not among those of the configuration (select.body_parts)"
        if self._config.only_included:
            return "no description says that it is a cephalogram (select.only_included)"
        return None


def _texts(header: Dataset, names: tuple[str, ...]) -> list[str]:
    values = [header.get(name) for name in names]
    # text of an unknown character set is bytes, and a rule for ASCII still fits
    values = [value.decode("latin-1") if isinstance(value, bytes) else value for value in values]
    return [str(text) for value in values if value for text in (value if isinstance(value, MultiValue) else [value])]


def _meanings(header: Dataset) -> list[str]:
    # an explicit VR may say that they are anything else
    codes = [value for name in _CODES if isinstance(value := header.get(name), Sequence)]
    return [text for items in codes for item in items for text in _texts(item, ("CodeMeaning",))]


def _shown(modality: str) -> str:
    """A modality has up to 16 letters; anything else may be anything."""
    return modality if re.fullmatch(r"[A-Z]{1,16}", modality) else "of an unknown kind"


def _class_name(uid: str) -> str:
    known = UID(uid)
    return str(known.name) if known.name != uid else "an object of an unknown SOP class"
