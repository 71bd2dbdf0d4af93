"""Measurement groups of an SR document: one landmark on the image (PS3.16 TID 1410).

The group is made so that viewers built on Cornerstone, such as OHIF, show it, name it and let a person move it. They

- take the first NUM for the geometry, so the score repeats the point (TID 320, an extension of TID 1410, which allows
  extensions); the radius comes after it;
- name the point by a Comment, and before it is editable by the first finding site, which is the landmark itself.
"""

from __future__ import annotations

import numpy as np
from highdicom import sr
from pydicom import Dataset

from monai_ceph.landmarks import Code, Landmark
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.reports.dicom_uids import tracking_uid
from monai_ceph.result import Status

__all__ = ["finding_sites", "landmark_group", "tracking"]


def tracking(landmark: Landmark, reference: Dataset, frame: int | None) -> sr.TrackingIdentifier:
    """Return the tracking identifier of a landmark: its name, and a UID that is the same for every model."""
    uid = tracking_uid(reference.SOPInstanceUID, frame, landmark.symbol)
    return sr.TrackingIdentifier(uid=uid, identifier=landmark.name)


def finding_sites(landmark: Landmark) -> list[sr.FindingSite]:
    """Return where a landmark is: the landmark as an anatomical place, then the part of the body it belongs to."""
    return [sr.FindingSite(concept(site)) for site in dict.fromkeys((landmark.code, landmark.site))]


def landmark_group(
    landmark: Landmark,
    position: tuple[float, float],
    reference: Dataset,
    frame: int | None,
    *,
    score: float | None = None,
    radius: tuple[float, Code] | None = None,
    status: Status | None = None,
    algorithm: sr.AlgorithmIdentification | None = None,
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return the measurement group of a landmark on the image.

    Args:
        landmark: which one.
        position: (column, row) from the corner of the first pixel, PS3.3 C.18.6.
        reference: from :func:`monai_ceph.reports.dicom_source.image_reference`.
        frame: frame number, if the film has several.
        score: of the model; None for a person's point.
        radius: that holds the landmark in 90 % of cases, and its unit; None if it is not known.
        status: of the model's point.
        algorithm: the model.
    """
    place = np.array([position])
    image = sr.SourceImageForRegion(reference.SOPClassUID, reference.SOPInstanceUID, None if frame is None else [frame])
    measurements = []
    if score is not None:
        measurements.append(sr.Measurement(concept(codes.LANDMARK_SCORE), score, concept(codes.NO_UNITS)))
    if radius is not None:
        length, unit = radius
        measurements.append(sr.Measurement(concept(codes.LANDMARK_RADIUS), length, concept(unit)))
    evaluations = []
    if status is not None:
        evaluations.append(sr.QualitativeEvaluation(concept(codes.LANDMARK_STATUS), concept(codes.STATUSES[status])))
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(landmark, reference, frame),
        referenced_region=sr.ImageRegion(sr.GraphicTypeValues.POINT, place, image),
        finding_category=concept(codes.ANATOMICAL_STRUCTURE),
        finding_type=concept(landmark.code),
        finding_sites=finding_sites(landmark),
        algorithm_id=algorithm,
        measurements=measurements or None,
        qualitative_evaluations=evaluations or None,
    )
    for measurement in measurements:
        # highdicom refuses it as an argument of such a group, and reads it
        point = sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POINT, place, image)
        measurement[0].ContentSequence = sr.ContentSequence([*measurement[0].get("ContentSequence", ()), point])
    group[0].ContentSequence.append(
        sr.TextContentItem(concept(codes.COMMENT), landmark.name, sr.RelationshipTypeValues.CONTAINS)
    )
    return group
