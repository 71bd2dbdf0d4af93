"""Which objects are cephalograms, judged by a header or a query's answer before pixels are moved or read.

Panoramic units take cephalograms too, and describe them freely. docs/reference/node.md has stricter rules.
Anything but a radiograph is refused, our own reports included, so that the node never works on its own output.
"""

from __future__ import annotations

import re

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.readers.dicom_elements import first_term, first_value, positive_number
from monai_ceph.readers.dicom_file import RADIOGRAPH_CLASSES, is_unknown_modality
from monai_ceph.readers.own_pictures import is_own_picture

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
    """Decides whether an object is taken for a cephalogram.

    Args:
        config: the rules.
    """

    def __init__(self, config: SelectionConfig) -> None:
        self._config = config
        self._include = re.compile(config.include, re.IGNORECASE)
        self._exclude = re.compile(config.exclude, re.IGNORECASE)

    def refusal(self, header: Dataset) -> str | None:
        """Return why an object with this header is not taken, None if it is. Descriptions are not quoted.

        Args:
            header: of a file, or from a query's answer about an instance or series. Absent elements never refuse it.
        """
        if is_own_picture(header):
            return "it is a picture that monai-ceph made of a film"
        kind = str(first_value(header, "SOPClassUID") or "")
        if kind and kind not in IMAGE_CLASSES:
            return f"{_class_name(kind)} is not an image class for cephalograms"
        modality = first_term(header, "Modality")
        # a modality that DICOM does not know says nothing where the SOP class is, or may be, that of a radiograph
        unknown = is_unknown_modality(modality) and (not kind or kind in RADIOGRAPH_CLASSES)
        if modality and modality not in self._config.modalities and not unknown:
            return f"Modality {_shown(modality)} is not in select.modalities"
        if positive_number(header, "NumberOfFrames") > self._config.max_frames:
            return f"it has more than {self._config.max_frames} frames"
        positioner = first_term(header, "PositionerType")
        if positioner == "CEPHALOSTAT":
            return None
        if positioner in ("PANORAMIC", "MAMMOGRAPHIC"):
            return f"PositionerType {positioner}"
        # the series' description counts first: the study may hold other films, too
        for texts in ([*_texts(header, _SERIES_TEXTS), *_meanings(header)], _texts(header, ("StudyDescription",))):
            if any(self._include.search(text) for text in texts):
                return None
            if any(self._exclude.search(text) for text in texts):
                return "its description names another kind of image (select.exclude)"
        part = first_term(header, "BodyPartExamined")
        if part and part not in self._config.body_parts:
            return "its BodyPartExamined is not in select.body_parts"
        if self._config.only_included:
            return "no description names a cephalogram (select.only_included)"
        return None


def _texts(header: Dataset, names: tuple[str, ...]) -> list[str]:
    values = [header.get(name) for name in names]
    # text of an unknown character set is bytes; rules in ASCII still work
    values = [value.decode("latin-1") if isinstance(value, bytes) else value for value in values]
    return [str(text) for value in values if value for text in (value if isinstance(value, MultiValue) else [value])]


def _meanings(header: Dataset) -> list[str]:
    # a wrong explicit VR can make them anything else
    codes = [value for name in _CODES if isinstance(value := header.get(name), Sequence)]
    return [text for items in codes for item in items for text in _texts(item, ("CodeMeaning",))]


def _shown(modality: str) -> str:
    """Return a modality for a message, unless it could be something else, such as a name."""
    return modality if re.fullmatch(r"[A-Z]{1,16}", modality) else "of an unknown kind"


def _class_name(uid: str) -> str:
    known = UID(uid)
    return str(known.name) if known.name != uid else "an object of an unknown SOP class"
