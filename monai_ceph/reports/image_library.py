"""Image Library of an SR document: the film with its size and scale (PS3.16 TID 1600 to 1603).

highdicom's own Image Library reads the scale only from ImagerPixelSpacing, fails for films without it, and does not
support secondary captures. Here the scale is that of the detection.
"""

from __future__ import annotations

from typing import Protocol

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes as standard

from monai_ceph.readers.dicom_elements import first_value
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.reports.object_settings import ObjectSettings

__all__ = ["ScaledFilm", "image_library"]

_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_CONTAINS = sr.RelationshipTypeValues.CONTAINS


class ScaledFilm(Protocol):
    """Size and scale of a film, as detections and reviews have them."""

    @property
    def frame(self) -> int | None:
        """Frame number, if the film has several."""

    @property
    def rows(self) -> int:
        """Rows of the film."""

    @property
    def columns(self) -> int:
        """Columns of the film."""

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """Distance of rows and of columns in mm; None if it is not known."""

    @property
    def spacing_source(self) -> SpacingSource:
        """Where the scale came from."""


def image_library(
    film: ScaledFilm, reference: Dataset, source: Dataset, settings: ObjectSettings
) -> sr.ContainerContentItem:
    """Return the Image Library with one entry: the film, or one frame of it.

    The entry has the modality, the part of the body, the view, rows, columns, horizontal and vertical spacing in mm if
    the scale is known, and a code for the source of the scale.

    Args:
        film: size and scale of the film or of one of its frames.
        reference: from :func:`monai_ceph.reports.dicom_source.image_reference`.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        settings: of the clinic.
    """
    entry = sr.ImageContentItem(
        # as in highdicom's own Image Library
        name=standard.SCT.Source,
        referenced_sop_class_uid=reference.SOPClassUID,
        referenced_sop_instance_uid=reference.SOPInstanceUID,
        referenced_frame_numbers=film.frame,
        relationship_type=_CONTAINS,
    )
    entry.ContentSequence = sr.ContentSequence(_descriptors(film, source, settings))
    group = _container(codes.IMAGE_LIBRARY_GROUP, entry)
    return _container(codes.IMAGE_LIBRARY, group)


def _container(name: codes.Code, item: sr.ContentItem) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(name=concept(name), relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence([item])
    return container


def _descriptors(film: ScaledFilm, source: Dataset, settings: ObjectSettings) -> list[sr.ContentItem]:
    """Return the descriptors of TID 1602 and 1603 in their order, and the source of the scale."""
    numbers: list[tuple[codes.Code, float, codes.Code]] = [
        (codes.PIXEL_DATA_ROWS, film.rows, codes.PIXELS),
        (codes.PIXEL_DATA_COLUMNS, film.columns, codes.PIXELS),
    ]
    if film.pixel_spacing:
        vertical, horizontal = film.pixel_spacing
        numbers += [
            (codes.HORIZONTAL_SPACING, horizontal, codes.MILLIMETRES),
            (codes.VERTICAL_SPACING, vertical, codes.MILLIMETRES),
        ]
    scale = codes.SCALE_SOURCES[film.spacing_source]
    _, region = settings.part_of(first_value(source, "BodyPartExamined"))
    shown = ((codes.TARGET_REGION, region), (codes.IMAGE_VIEW, codes.LATERAL))
    return [
        *_modality(source),
        *(sr.CodeContentItem(concept(name), concept(value), _CONTEXT) for name, value in shown),
        *(sr.NumContentItem(concept(name), value, concept(unit), None, _CONTEXT) for name, value, unit in numbers),
        sr.CodeContentItem(concept(codes.SCALE_SOURCE), concept(scale), _CONTEXT),
    ]


def _modality(source: Dataset) -> list[sr.ContentItem]:
    """Return the modality if it is in context group 29; OT, for example, is not."""
    known = {code.value: code for code in standard.cid29.concepts.values()}
    code = known.get(str(first_value(source, "Modality")))
    return [] if code is None else [sr.CodeContentItem(concept(codes.MODALITY), code, _CONTEXT)]
