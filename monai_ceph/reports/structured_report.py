"""Landmarks as a DICOM Comprehensive SR document by TID 1500, Measurement Report (PS3.16).

One measurement group per landmark. A landmark on the image is a POINT (TID 1410). One that was not found, or that
lies outside the image, where no POINT may be (PS3.3 C.18.6), is a group without a region (TID 1501) that says so.
A further group holds the state and the scale of the film; the warnings are qualitative evaluations of the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from highdicom import sr
from pydicom import Dataset

from monai_ceph.landmarks import LANDMARKS, Landmark
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.reports.dicom_objects import MANUFACTURER, building, complete, identification, write_object
from monai_ceph.reports.dicom_source import header_warnings, image_reference
from monai_ceph.reports.dicom_uids import device_uid, tracking_uid
from monai_ceph.reports.overlay import NOTICE
from monai_ceph.result import DetectedLandmark, Detection

__all__ = ["image_position", "save_sr", "structured_report"]

_HASH_PREFIX = 12


def image_position(mark: DetectedLandmark, detection: Detection) -> tuple[float, float] | None:
    """Return (column, row) from the corner of the first pixel, PS3.3 C.18.6 and C.10.5; None if not on the image.

    Pixel centres, which are integers elsewhere, lie at halves here.
    """
    if mark.x is None or mark.y is None:
        return None
    # the precision of the VR FL, so that a point that rounding puts beyond the edge counts as outside
    column, row = float(np.float32(mark.x + 0.5)), float(np.float32(mark.y + 0.5))
    inside = 0 <= column <= detection.columns and 0 <= row <= detection.rows
    return (column, row) if inside else None


def structured_report(detection: Detection, source: Dataset) -> sr.ComprehensiveSR:
    """Return the SR document of one film: complete, preliminary, unverified.

    Args:
        detection: of the film or of one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.

    Raises:
        CephError: the film has no valid UIDs, is not the one of the detection, or is of an unknown SOP class.
    """
    with building("SR", detection):
        reference = image_reference(source, detection)
        groups = [
            _group(landmark, mark, detection, reference)
            for landmark, mark in zip(LANDMARKS, detection.landmarks, strict=True)
        ]
        report = sr.MeasurementReport(
            observation_context=_observer(detection),
            procedure_reported=concept(codes.RADIOGRAPHY),
            imaging_measurements=[*groups, _film(detection, reference)],
        )
        report[0].ContentSequence.append(_statements(detection, source))
        document = sr.ComprehensiveSR(
            evidence=[reference],
            content=report,
            is_complete=True,
            coding_schemes=[codes.coding_scheme()],
            **identification("SR", reference, source, detection),
        )
        # the one time of the document that names its time zone
        document.ObservationDateTime = complete(document, source, detection)
    return document


def save_sr(target: Path, detection: Detection, source: Dataset) -> None:
    """Write the SR document of one film, beside its place first. The same detection gives the same bytes.

    Args:
        target: the file to write.
        detection: of the film or of one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.

    Raises:
        CephError: the film has no valid UIDs, is not the one of the detection, or is of an unknown SOP class.
        OSError: if the file cannot be written.
    """
    write_object(target, structured_report(detection, source))


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
    model = detection.model
    return sr.AlgorithmIdentification(
        name=model.name,
        version=f"{model.version}, weights {model.weights_sha256[:_HASH_PREFIX]}",
        parameters=[f"weights_sha256={model.weights_sha256}", f"recipe_sha256={model.recipe_sha256}"],
    )


def _source_image(detection: Detection, reference: Dataset) -> sr.SourceImageForMeasurementGroup:
    return sr.SourceImageForMeasurementGroup(reference.SOPClassUID, reference.SOPInstanceUID, _frames(detection))


def _frames(detection: Detection) -> list[int] | None:
    return None if detection.frame is None else [detection.frame]


def _number(code: codes.Code, value: float, unit: codes.Code) -> sr.Measurement:
    return sr.Measurement(name=concept(code), value=value, unit=concept(unit))


def _answer(question: codes.Code, value: codes.Code) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(name=concept(question), value=concept(value))


def _group(
    landmark: Landmark, mark: DetectedLandmark, detection: Detection, reference: Dataset
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations:
    uid = tracking_uid(reference.SOPInstanceUID, detection.frame, landmark.symbol)
    measurements = [_number(codes.LANDMARK_SCORE, mark.score, codes.NO_UNITS)]
    shared: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=uid, identifier=landmark.name),
        "finding_category": concept(codes.ANATOMICAL_STRUCTURE),
        "finding_type": concept(landmark.code),
        "finding_sites": [sr.FindingSite(concept(landmark.site))],
        "algorithm_id": _algorithm(detection),
        "measurements": measurements,
        "qualitative_evaluations": [_answer(codes.LANDMARK_STATUS, codes.STATUSES[mark.status])],
    }
    if position := image_position(mark, detection):
        region = sr.ImageRegion(
            sr.GraphicTypeValues.POINT,
            np.array([position]),
            sr.SourceImageForRegion(reference.SOPClassUID, reference.SOPInstanceUID, _frames(detection)),
        )
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **shared)
    if mark.x is not None and mark.y is not None:
        measurements += [
            _number(codes.COLUMN_POSITION, mark.x + 0.5, codes.PIXELS),
            _number(codes.ROW_POSITION, mark.y + 0.5, codes.PIXELS),
        ]
    return sr.MeasurementsAndQualitativeEvaluations(source_images=[_source_image(detection, reference)], **shared)


def _film(detection: Detection, reference: Dataset) -> sr.MeasurementsAndQualitativeEvaluations:
    """What holds for the whole film: its scale, where that came from, and whether the film is in doubt."""
    spacing = detection.pixel_spacing
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid(reference.SOPInstanceUID, detection.frame, "film"), identifier="Film"
        ),
        measurements=[
            _number(codes.HORIZONTAL_SPACING, spacing[1], codes.MILLIMETRES),
            _number(codes.VERTICAL_SPACING, spacing[0], codes.MILLIMETRES),
        ]
        if spacing
        else None,
        qualitative_evaluations=[
            _answer(codes.FILM_STATE, codes.FILM_STATES[detection.state]),
            _answer(codes.SCALE_SOURCE, codes.SCALE_SOURCES[detection.spacing_source]),
        ],
        source_images=[_source_image(detection, reference)],
    )


def _statements(detection: Detection, source: Dataset) -> sr.ContainerContentItem:
    """The sentences on the whole document, as its Qualitative Evaluations (TID 1500)."""
    container = sr.ContainerContentItem(
        name=concept(codes.QUALITATIVE_EVALUATIONS), relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
    warnings = (*detection.warnings, *header_warnings(source))
    sentences = [(codes.NOTICE, NOTICE), *((codes.WARNING, warning) for warning in warnings if warning)]
    container.ContentSequence = sr.ContentSequence(
        [sr.TextContentItem(concept(name), text, sr.RelationshipTypeValues.CONTAINS) for name, text in sentences]
    )
    return container
