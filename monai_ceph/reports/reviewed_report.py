"""Landmarks placed by a person as a DICOM Comprehensive SR document by TID 1500, Measurement Report (PS3.16).

The document is like that of the model (:mod:`monai_ceph.reports.structured_report`), with the measurements of the
person's points, but the observer is a person, no group names an algorithm, and there are no scores. It is UNVERIFIED,
because saving landmarks is not signing a report, unless the person signed: then it is VERIFIED by that person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from highdicom import sr
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from monai_ceph.analysis import Measurement
from monai_ceph.errors import CephError
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS
from monai_ceph.readers.dicom_elements import positive_number
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.reports.dicom_objects import MANUFACTURER, building, complete
from monai_ceph.reports.dicom_source import header_warnings, image_reference
from monai_ceph.reports.dicom_uids import derived_uid
from monai_ceph.reports.header_identity import header_identity
from monai_ceph.reports.image_library import image_library
from monai_ceph.reports.landmark_group import landmark_group
from monai_ceph.reports.measured_values import derived_measurements
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.reports.structured_report import DOCUMENTS
from monai_ceph.result import ModelIdentity
from monai_ceph.version import __version__

__all__ = ["Review", "review_series_uid", "review_uid", "reviewed_report"]

_SERIES_NUMBER = 9003
_NO_NAME = "Unknown"
_MAX_NAME = 64


@dataclass(frozen=True, eq=False)
class Review:
    """Landmarks that a person placed or corrected on one film.

    Attributes:
        file: the film, for messages.
        image_uid: SOP Instance UID of the film.
        rows: rows of the film.
        columns: columns of the film.
        points: (19, 2), (row, column) in source pixels, pixel centres at integers; NaN where there is none. More rows
            are the landmarks that only people place, in their order.
        observer: name of the person, None if unknown.
        created: time of the review, with a time zone.
        frame: frame number, if the film has several.
        verified: the person signed the landmarks.
        tool: the program in which the person did it.
        statement: what the document says of how the landmarks came about; None: that a person placed or corrected them
            in the tool and nobody signed them.
        replaces: SOP Instance UID of the document of the same film that this one replaces, None without one.
        model: that found the points which the person did not move; None if it is not known.
        pixel_spacing: distance of rows and of columns in mm; None if it is not known.
        spacing_source: where the scale came from.
        measurements: of the person's points.
    """

    file: str
    image_uid: str
    rows: int
    columns: int
    points: np.ndarray
    observer: str | None
    created: datetime
    frame: int | None = None
    verified: bool = False
    tool: str = "MONAI Label"
    statement: str | None = None
    replaces: str | None = None
    model: ModelIdentity | None = None
    pixel_spacing: tuple[float, float] | None = None
    spacing_source: SpacingSource = SpacingSource.NONE
    measurements: tuple[Measurement, ...] = ()


def review_series_uid(series_uid: str) -> str:
    """Return the Series Instance UID of all reviews of the films in a series."""
    return derived_uid("series", "SR", series_uid, "reviewed")


def review_uid(review: Review, source: Dataset, settings: ObjectSettings = DEFAULT_SETTINGS) -> str:
    """Return the SOP Instance UID of the document of a review: the same time, points and header give the same one."""
    places = [None if np.isnan(place).any() else place for place in review.points.round(3).tolist()]
    # a draft and its signed version are two documents
    header = header_identity(source, review.frame)
    parts = (
        review.created.isoformat(),
        str(places),
        header,
        *(("verified",) if review.verified else ()),
        *settings.identity,
    )
    return derived_uid("review", review.image_uid, review.frame, *parts)


def reviewed_report(
    review: Review, source: Dataset, settings: ObjectSettings = DEFAULT_SETTINGS
) -> sr.ComprehensiveSR | sr.Comprehensive3DSR:
    """Return the SR document of one review: complete, observed by a person, and verified if that person signed.

    What it replaces is named in Predecessor Documents Sequence (PS3.3 C.17.2).

    Args:
        review: the landmarks and who placed them.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the review, or a landmark lies outside it, where
            DICOM allows no point (PS3.3 C.18.6).
    """
    with building("SR", review):
        reference = image_reference(source, review)
        placed = np.flatnonzero(np.isfinite(review.points).all(axis=1)).tolist()
        groups = [_group(index, review, reference) for index in placed]
        report = sr.MeasurementReport(
            observation_context=_person(review.observer),
            procedure_reported=concept(settings.reported),
            imaging_measurements=groups,
        )
        parts = report[0].ContentSequence
        # as in the model's document: the library first, then points and measurements, then the statements
        rest = [parts[-1]]
        del parts[-1]
        parts.append(image_library(review, reference, source, settings))
        series = review_series_uid(reference.SeriesInstanceUID)
        earlier = None if review.replaces is None else [_version(review.replaces, reference, series, settings)]
        document = DOCUMENTS[settings.sr_class](
            evidence=[reference],
            content=report,
            is_complete=True,
            coding_schemes=[codes.coding_scheme()],
            series_instance_uid=series,
            series_number=_SERIES_NUMBER,
            sop_instance_uid=review_uid(review, source, settings),
            instance_number=review.frame or positive_number(source, "InstanceNumber"),
            series_description="Cephalometric landmarks, placed by a person",
            manufacturer=MANUFACTURER,
            manufacturer_model_name="MONAI Label app" if review.tool == "MONAI Label" else review.tool,
            software_versions=f"monai-ceph {__version__}",
            device_serial_number="none",
            is_verified=review.verified,
            verifying_observer_name=_person_name(review.observer) if review.verified else None,
            # both are mandatory then (PS3.3 C.17.2)
            verifying_organization=(str(source.get("InstitutionName") or "") or _NO_NAME) if review.verified else None,
            previous_versions=earlier,
        )
        # added only here, because highdicom would copy and search it
        if derived := derived_measurements(settings.wanted(review.measurements)):
            rest.append(derived)
        rest.append(_statements(review, source))
        document.ContentSequence.extend(rest)
        document.ObservationDateTime = complete(document, source, review, settings, review.model)
        for observer in document.get("VerifyingObserverSequence", ()):
            observer.VerificationDateTime = document.ObservationDateTime
        # the newest review counts, and there may be two in one second
        document.ContentTime = f"{document.ContentTime}{review.created:.%f}"
        return document


def _version(uid: str, reference: Dataset, series: str, settings: ObjectSettings) -> Dataset:
    """Return what identifies an earlier document of a film."""
    earlier = Dataset()
    earlier.StudyInstanceUID, earlier.SeriesInstanceUID = reference.StudyInstanceUID, series
    volumetric = settings.sr_class == "comprehensive-3d"
    earlier.SOPClassUID = Comprehensive3DSRStorage if volumetric else ComprehensiveSRStorage
    earlier.SOPInstanceUID = uid
    return earlier


def _person_name(observer: str | None) -> str:
    name = "".join(sign for sign in observer or "" if sign.isprintable() and sign not in "\\=").strip()[:_MAX_NAME]
    return name or _NO_NAME


def _person(observer: str | None) -> sr.ObservationContext:
    attributes = sr.PersonObserverIdentifyingAttributes(name=_person_name(observer))
    return sr.ObservationContext(
        observer_person_context=sr.ObserverContext(
            observer_type=sr.CodedConcept("121006", "DCM", "Person"), observer_identifying_attributes=attributes
        )
    )


def _group(index: int, review: Review, reference: Dataset) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    landmark = (*LANDMARKS, *EXTRA_LANDMARKS)[index]
    row, column = np.float32(review.points[index] + 0.5).tolist()
    if not (0 <= column <= review.columns and 0 <= row <= review.rows):
        raise CephError(f"{review.file}: {landmark.name} lies outside the film, where an SR can have no point.")
    return landmark_group(landmark, (column, row), reference, review.frame)


def _statements(review: Review, source: Dataset) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(
        name=concept(codes.QUALITATIVE_EVALUATIONS), relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
    texts = (
        (codes.NOTICE, NOTICE),
        (
            codes.WARNING,
            review.statement or f"A person placed or corrected these landmarks in {review.tool}. Nobody signed them.",
        ),
        *((codes.WARNING, warning) for warning in header_warnings(source)),
    )
    container.ContentSequence = sr.ContentSequence(
        [sr.TextContentItem(concept(name), text, sr.RelationshipTypeValues.CONTAINS) for name, text in texts]
    )
    return container
