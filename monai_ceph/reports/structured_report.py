"""Landmarks as a DICOM Comprehensive SR document by TID 1500, Measurement Report (PS3.16).

Each landmark on the image is a measurement group with a POINT (:mod:`monai_ceph.reports.landmark_group`). Every group
has a point, because OHIF 3.12 and 3.13 show an error page otherwise. Landmarks that are missing or outside the image,
where DICOM allows no POINT (PS3.3 C.18.6), are qualitative evaluations of the whole report, like the state of the film
and the warnings. Angles, ratios and lengths follow the groups (:mod:`monai_ceph.reports.measured_values`). The scale of
the film is in the Image Library (:mod:`monai_ceph.reports.image_library`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom import UID, sr
from pydicom import Dataset

from monai_ceph.landmarks import LANDMARKS, Code, Landmark
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.reports.dicom_objects import (
    MANUFACTURER,
    algorithm_version,
    building,
    complete,
    identification,
    write_object,
)
from monai_ceph.reports.dicom_source import header_warnings, image_reference
from monai_ceph.reports.dicom_uids import device_uid
from monai_ceph.reports.header_identity import ObjectReference, predecessor
from monai_ceph.reports.image_library import image_library
from monai_ceph.reports.landmark_group import finding_sites, landmark_group, tracking
from monai_ceph.reports.measured_values import derived_measurements
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.result import DetectedLandmark, Detection

__all__ = ["DOCUMENTS", "image_position", "save_sr", "structured_report"]

DOCUMENTS: dict[str, type[sr.ComprehensiveSR] | type[sr.Comprehensive3DSR]] = {
    "comprehensive": sr.ComprehensiveSR,
    "comprehensive-3d": sr.Comprehensive3DSR,
}
"""The SOP classes of the SR, by :attr:`~monai_ceph.reports.object_settings.ObjectSettings.sr_class`."""


def image_position(mark: DetectedLandmark, detection: Detection) -> tuple[float, float] | None:
    """Return (column, row) from the corner of the first pixel, PS3.3 C.18.6 and C.10.5; None if not on the image.

    Pixel centres are at halves here, and at integers everywhere else.
    """
    if mark.x is None or mark.y is None:
        return None
    # in the precision of the VR FL, so that a point that is rounded beyond the edge counts as outside
    column, row = float(np.float32(mark.x + 0.5)), float(np.float32(mark.y + 0.5))
    inside = 0 <= column <= detection.columns and 0 <= row <= detection.rows
    return (column, row) if inside else None


def structured_report(
    detection: Detection,
    source: Dataset,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> sr.ComprehensiveSR | sr.Comprehensive3DSR:
    """Return the SR document of one film: complete, preliminary, unverified.

    Args:
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the detection, or has an unknown SOP class.
    """
    with building("SR", detection):
        reference = image_reference(source, detection)
        marks = list(zip(LANDMARKS, detection.landmarks, strict=True))
        groups = [
            landmark_group(
                *(landmark, position, reference, detection.frame),
                score=mark.score,
                radius=_radius(mark),
                status=mark.status,
                algorithm=_algorithm(detection),
            )
            for landmark, mark in marks
            if (position := image_position(mark, detection))
        ]
        without_point = [
            _without_point(landmark, mark, detection, reference)
            for landmark, mark in marks
            if image_position(mark, detection) is None
        ]
        report = sr.MeasurementReport(
            observation_context=_observer(detection),
            procedure_reported=concept(settings.reported),
            imaging_measurements=groups or [_placeholder()],
        )
        parts = report[0].ContentSequence
        # with Qualitative Evaluations, TID 1500 does not need Imaging Measurements, so the placeholder is dropped
        rest = [parts[-1]] if groups else []
        del parts[-1]
        parts.append(image_library(detection, reference, source, settings))
        document = DOCUMENTS[settings.sr_class](
            evidence=[reference],
            content=report,
            is_complete=True,
            coding_schemes=[codes.coding_scheme()],
            **identification("SR", reference, source, detection, replaces, settings),
        )
        # added only here, because highdicom would copy and search it for longer than a detection takes
        if derived := derived_measurements(settings.wanted(detection.measure())):
            rest.append(derived)
        rest.append(_evaluations(detection, source, without_point))
        document.ContentSequence.extend(rest)
        if replaces is not None:
            document.PredecessorDocumentsSequence = [predecessor(replaces)]
        document.ObservationDateTime = complete(document, source, detection, settings, detection.model)
    return document


def save_sr(
    target: Path,
    detection: Detection,
    source: Dataset,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> None:
    """Write the SR document of one film, atomically. The same detection gives the same bytes.

    Args:
        target: the file to write.
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the detection, or has an unknown SOP class.
        OSError: if the file cannot be written.
    """
    write_object(target, structured_report(detection, source, replaces, settings))


def _observer(detection: Detection) -> sr.ObservationContext:
    model = detection.model
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(model),
        name=model.software,
        manufacturer_name=MANUFACTURER,
        model_name=model.name,
        serial_number=model.weights_sha256,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=sr.CodedConcept("121007", "DCM", "Device"), observer_identifying_attributes=device
        )
    )


def _algorithm(detection: Detection) -> sr.AlgorithmIdentification:
    model, profile = detection.model, detection.profile
    parameters = [f"weights_sha256={model.weights_sha256}", f"recipe_sha256={model.recipe_sha256}"]
    if profile is not None:
        parameters += [f"profile={profile.label}", f"profile_sha256={profile.sha256}"]
    return sr.AlgorithmIdentification(
        name=model.name,
        version=algorithm_version(model),
        parameters=parameters,
    )


def _radius(mark: DetectedLandmark) -> tuple[float, Code] | None:
    """Return the radius for 90 % in mm, or in pixels without a scale; None if it is not known."""
    if mark.radius_90_mm is not None:
        return mark.radius_90_mm, codes.MILLIMETRES
    return None if mark.radius_90_px is None else (mark.radius_90_px, codes.PIXELS)


def _without_point(
    landmark: Landmark, mark: DetectedLandmark, detection: Detection, reference: Dataset
) -> sr.CodeContentItem:
    """Return the status, name, score and position of a landmark that has no point."""
    has = sr.RelationshipTypeValues.HAS_PROPERTIES
    numbers = [(codes.LANDMARK_SCORE, mark.score, codes.NO_UNITS)]
    if mark.x is not None and mark.y is not None:
        numbers += [
            (codes.COLUMN_POSITION, mark.x + 0.5, codes.PIXELS),
            (codes.ROW_POSITION, mark.y + 0.5, codes.PIXELS),
        ]
    finding = sr.CodeContentItem(
        concept(codes.FINDING), concept(landmark.code), sr.RelationshipTypeValues.HAS_CONCEPT_MOD
    )
    finding.ContentSequence = sr.ContentSequence(finding_sites(landmark))
    status = _answer(codes.LANDMARK_STATUS, codes.STATUSES[mark.status])
    status.ContentSequence = sr.ContentSequence(
        [
            *tracking(landmark, reference, detection.frame),
            finding,
            *_algorithm(detection),
            *(sr.NumContentItem(concept(name), value, concept(unit), None, has) for name, value, unit in numbers),
        ]
    )
    return status


def _placeholder() -> sr.MeasurementsAndQualitativeEvaluations:
    """Return a group, because highdicom makes no report without one."""
    return sr.MeasurementsAndQualitativeEvaluations(sr.TrackingIdentifier(UID(), "none"))


def _answer(question: codes.Code, value: codes.Code) -> sr.CodeContentItem:
    return sr.CodeContentItem(concept(question), concept(value), sr.RelationshipTypeValues.CONTAINS)


def _evaluations(
    detection: Detection, source: Dataset, without_point: list[sr.CodeContentItem]
) -> sr.ContainerContentItem:
    """Return the Qualitative Evaluations of the film as a whole (TID 1500)."""
    contains = sr.RelationshipTypeValues.CONTAINS
    warnings = (*detection.warnings, *header_warnings(source))
    sentences = [(codes.NOTICE, NOTICE), *((codes.WARNING, warning) for warning in warnings if warning)]
    container = sr.ContainerContentItem(name=concept(codes.QUALITATIVE_EVALUATIONS), relationship_type=contains)
    container.ContentSequence = sr.ContentSequence(
        [
            _answer(codes.FILM_STATE, codes.FILM_STATES[detection.state]),
            *(sr.TextContentItem(concept(name), text, contains) for name, text in sentences),
            *without_point,
        ]
    )
    return container
