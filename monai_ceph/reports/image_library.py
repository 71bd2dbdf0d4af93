"""The film of an SR document, with its size and scale, as Image Library (PS3.16 TID 1600 to 1603).

highdicom has an Image Library of its own, but it takes the scale from ImagerPixelSpacing alone, stops where the film
has none, and knows no SC image. Here the scale is that of the detection.
"""

from __future__ import annotations

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes as standard

from monai_ceph.readers.dicom_elements import first_value
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.result import Detection

__all__ = ["image_library"]

_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_CONTAINS = sr.RelationshipTypeValues.CONTAINS


def image_library(detection: Detection, reference: Dataset, source: Dataset) -> sr.ContainerContentItem:
    """Return the Image Library with one entry: the film, or the frame of it that was looked at.

    The entry has the modality, rows, columns, the horizontal and vertical spacing in mm where there is a scale, and a
    code that says where the scale came from.

    Args:
        detection: of the film or of one of its frames.
        reference: from :func:`monai_ceph.reports.dicom_source.image_reference`.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
    """
    entry = sr.ImageContentItem(
        # highdicom names the entries of its own Image Library so, too
        name=standard.SCT.Source,
        referenced_sop_class_uid=reference.SOPClassUID,
        referenced_sop_instance_uid=reference.SOPInstanceUID,
        referenced_frame_numbers=detection.frame,
        relationship_type=_CONTAINS,
    )
    entry.ContentSequence = sr.ContentSequence(_descriptors(detection, source))
    group = _container(codes.IMAGE_LIBRARY_GROUP, entry)
    return _container(codes.IMAGE_LIBRARY, group)


def _container(name: codes.Code, item: sr.ContentItem) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(name=concept(name), relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence([item])
    return container


def _descriptors(detection: Detection, source: Dataset) -> list[sr.ContentItem]:
    """Return the descriptors of TID 1602 and 1603, in their order; the source of the scale extends them."""
    numbers: list[tuple[codes.Code, float, codes.Code]] = [
        (codes.PIXEL_DATA_ROWS, detection.rows, codes.PIXELS),
        (codes.PIXEL_DATA_COLUMNS, detection.columns, codes.PIXELS),
    ]
    if detection.pixel_spacing:
        vertical, horizontal = detection.pixel_spacing
        numbers += [
            (codes.HORIZONTAL_SPACING, horizontal, codes.MILLIMETRES),
            (codes.VERTICAL_SPACING, vertical, codes.MILLIMETRES),
        ]
    scale = codes.SCALE_SOURCES[detection.spacing_source]
    return [
        *_modality(source),
        *(sr.NumContentItem(concept(name), value, concept(unit), None, _CONTEXT) for name, value, unit in numbers),
        sr.CodeContentItem(concept(codes.SCALE_SOURCE), concept(scale), _CONTEXT),
    ]


def _modality(source: Dataset) -> list[sr.ContentItem]:
    """Return the modality if it is one of context group 29; OT, for one, is not."""
    known = {code.value: code for code in standard.cid29.concepts.values()}
    code = known.get(str(first_value(source, "Modality")))
    return [] if code is None else [sr.CodeContentItem(concept(codes.MODALITY), code, _CONTEXT)]
