"""The functional groups of enhanced multi-frame images (PS3.3 C.7.6.16): attributes that may differ by frame.

Such images keep the pixel spacing, LUTs and orientation in two sequences, one shared by all frames and one with an item
per frame, and not at the top level. A macro belongs in one of the two; if a file has it in both, that of the frame is
used.
"""

from __future__ import annotations

from typing import Any

from monai_ceph.readers.dicom_elements import value

__all__ = ["MACROS", "apply_functional_groups", "functional_group"]

MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "FramePixelDataPropertiesSequence": ("ImagerPixelSpacing",),
    "PixelValueTransformationSequence": ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth"),
    "PatientOrientationInFrameSequence": ("PatientOrientation",),
}
"""The macros that are read, by the keyword of their sequence, with the attributes that other images have at the top
level: Pixel Measures (PS3.3 C.7.6.16.2.1), XA/XRF Frame Pixel Data Properties (C.8.19.6.4), Pixel Value Transformation
(C.7.6.16.2.9), Frame VOI LUT (C.7.6.16.2.10), Patient Orientation in Frame (C.7.6.16.2.15)."""


def functional_group(dataset: Any, frame: int | None, macro: str) -> Any:
    """Return the item of a macro that applies to a frame; None if it is missing or damaged.

    Args:
        dataset: the header.
        frame: which frame, counted from 1; None if there is only one.
        macro: keyword of the sequence, such as ``PixelMeasuresSequence``.
    """
    shared, own = value(dataset, "SharedFunctionalGroupsSequence"), value(dataset, "PerFrameFunctionalGroupsSequence")
    number = (frame or 1) - 1
    for group in (*_items(own)[number : number + 1], *_items(shared)[:1]):
        if found := _items(value(group, macro)):
            return found[0]
    return None


def apply_functional_groups(dataset: Any, frame: int | None) -> None:
    """Copy the functional groups of a frame to the top level of the header, in place.

    A macro replaces all of its attributes: those it does not contain are removed from the top level.

    Args:
        dataset: the header, which is changed.
        frame: which frame, counted from 1; None if there is only one.
    """
    for macro, names in MACROS.items():
        item = functional_group(dataset, frame, macro)
        if item is None:
            continue
        for name in names:
            dataset.pop(name, None)
            if name in item:
                dataset[name] = item.get_item(name)  # the raw value: damage is reported where it is used


def _items(sequence: Any) -> list[Any]:
    """Return the items of a sequence; an empty list for anything else."""
    return list(sequence) if hasattr(sequence, "__iter__") and not isinstance(sequence, (str, bytes)) else []
