"""What enhanced multi-frame images say frame by frame: their functional groups (PS3.3 C.7.6.16).

They keep the spacing, the LUTs and the orientation in sequences, one shared by all frames and one item for each frame,
instead of the image itself. A macro stands in one of the two; where a file has it in both, the frame's own counts.
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
"""The sequence of each macro that is read, and the attributes in it that an image without macros has itself: Pixel
Measures (PS3.3 C.7.6.16.2.1), XA/XRF Frame Pixel Data Properties (C.8.19.6), Pixel Value Transformation (C.7.6.16.2.9),
Frame VOI LUT (C.7.6.16.2.10), Patient Orientation in Frame (C.7.6.16.2.15)."""


def functional_group(dataset: Any, frame: int | None, macro: str) -> Any:
    """Return the item of a macro that holds for a frame, None if there is none or it is damaged.

    Args:
        dataset: the header.
        frame: its number, from 1; None for the only one.
        macro: keyword of the sequence, such as ``PixelMeasuresSequence``.
    """
    shared, own = value(dataset, "SharedFunctionalGroupsSequence"), value(dataset, "PerFrameFunctionalGroupsSequence")
    number = (frame or 1) - 1
    for group in (*_items(own)[number : number + 1], *_items(shared)[:1]):
        if found := _items(value(group, macro)):
            return found[0]
    return None


def apply_functional_groups(dataset: Any, frame: int | None) -> None:
    """Put into a header what the functional groups say of a frame, in the place of what it says itself.

    A macro brings all of its attributes: those that it does not hold are gone.

    Args:
        dataset: the header, which is changed.
        frame: its number, from 1; None for the only one.
    """
    for macro, names in MACROS.items():
        item = functional_group(dataset, frame, macro)
        if item is None:
            continue
        for name in names:
            dataset.pop(name, None)
            if name in item:
                dataset[name] = item.get_item(name)  # as it is stored: a damaged value shows where it is used


def _items(sequence: Any) -> list[Any]:
    """The items of a sequence, none if it is something else."""
    return list(sequence) if hasattr(sequence, "__iter__") and not isinstance(sequence, (str, bytes)) else []
