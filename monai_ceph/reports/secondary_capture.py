"""The tracing over the film as a DICOM Secondary Capture image (PS3.3 A.8.1), which every viewer shows.

The picture is for looking at: it is as large as a screen, and there are words in its pixels. It has no pixel spacing,
so that nobody measures millimetres on it instead of on the film.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom.base import SOPClass
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from monai_ceph.readers import Radiograph
from monai_ceph.readers.dicom_elements import first_term
from monai_ceph.reports.dicom_display import pixel_aspect_ratio
from monai_ceph.reports.dicom_objects import (
    building,
    complete,
    identification,
    replaced_instance,
    reviewed_identification,
    set_body_part,
    write_object,
)
from monai_ceph.reports.dicom_source import image_reference
from monai_ceph.reports.film_tracing import draw_tracing
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.result import Detection

__all__ = ["DERIVED", "save_sc", "secondary_capture"]

DERIVED = "Derived picture, made by software. Not reviewed."
"""Text in the picture, besides the notice on intended use."""

_DESCRIPTION = "Film reduced to the size of a screen, with landmarks, planes and outlines drawn on it."


def secondary_capture(
    detection: Detection,
    source: Dataset,
    radiograph: Radiograph,
    reviewer: str | None = None,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> Dataset:
    """Return the tracing of one film as a Secondary Capture image: RGB, derived, with burned-in text.

    Args:
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        radiograph: the pixels of the film or of the frame.
        reviewer: the person who signed these points; None: nobody reviewed them.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, or is not the film of the detection.
    """
    with building("secondary capture", detection):
        reference = image_reference(source, detection)
        result = SOPClass(
            study_instance_uid=reference.StudyInstanceUID,
            sop_class_uid=SecondaryCaptureImageStorage,
            modality="OT",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **(
                identification("SC", reference, source, detection, replaces, settings)
                if reviewer is None
                else reviewed_identification("SC", reference, source, detection, reviewer, settings)
            ),
        )
        result.ConversionType = "WSD"
        result.ImageType = ["DERIVED", "SECONDARY"]
        standing = "Not reviewed." if reviewer is None else "Reviewed and signed."
        result.DerivationDescription = f"{_DESCRIPTION} {standing}"
        result.SourceImageSequence = [_source(reference, detection)]
        result.PatientOrientation = list(detection.patient_orientation or ()) or None
        result.BurnedInAnnotation = "YES"
        if replaces is not None:
            result.ReferencedInstanceSequence = [replaced_instance(replaces)]
        set_body_part(result, source, settings)
        # a picture of a film that was compressed with losses has them, too (PS3.3 C.7.6.1.1.5)
        if first_term(source, "LossyImageCompression") == "01":
            result.LossyImageCompression = "01"
        note = DERIVED if reviewer is None else f"Derived picture, made by software. Reviewed and signed by {reviewer}."
        _set_pixels(result, np.asarray(draw_tracing(radiograph, detection, notes=[note])))
        ratio = pixel_aspect_ratio(source, detection)
        if ratio != [1, 1]:
            result.PixelAspectRatio = ratio
        complete(result, source, detection, settings, detection.model)
    return result


def save_sc(
    target: Path,
    detection: Detection,
    source: Dataset,
    radiograph: Radiograph,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> None:
    """Write the Secondary Capture of one film, atomically. The same detection gives the same bytes.

    Args:
        target: the file to write.
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        radiograph: the pixels of the film or of the frame.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, or is not the film of the detection.
        OSError: if the file cannot be written.
    """
    write_object(target, secondary_capture(detection, source, radiograph, replaces=replaces, settings=settings))


def _source(reference: Dataset, detection: Detection) -> Dataset:
    item, purpose = Dataset(), Dataset()
    item.ReferencedSOPClassUID = reference.SOPClassUID
    item.ReferencedSOPInstanceUID = reference.SOPInstanceUID
    if detection.frame is not None:
        item.ReferencedFrameNumber = detection.frame
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _set_pixels(result: Dataset, pixels: np.ndarray) -> None:
    """Set the elements of the Image Pixel module, from (row, column, colour)."""
    result.SamplesPerPixel = 3
    result.PhotometricInterpretation = "RGB"
    result.PlanarConfiguration = 0
    result.Rows, result.Columns = pixels.shape[:2]
    result.BitsAllocated = result.BitsStored = 8
    result.HighBit = 7
    result.PixelRepresentation = 0
    data = pixels.tobytes()
    # values of OB have an even length
    result.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
