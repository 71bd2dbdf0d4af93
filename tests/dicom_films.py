"""Small DICOM films of the kinds that clinics have, and made-up detections on them."""

from __future__ import annotations

import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from monai_ceph.landmarks import LANDMARKS, SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
SC_WORD_FRAMES = "1.2.840.10008.5.1.4.1.1.7.3"
ROWS, COLUMNS = 400, 300
STUDY, SERIES, IMAGE = "1.2.3.1", "1.2.3.2", "1.2.3.3"
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

NAMES = {
    "latin": ("ISO_IR 100", "Müller^Jörg"),
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "unicode": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
}


def film(**changes: Any) -> Dataset:
    """Return a DX film without pixels; a change to None removes the element."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = DX, IMAGE
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "P-17"
    dataset.PatientBirthDate, dataset.PatientSex = "19800229", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20251231", "235958", "S1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", "Who^Doctor"
    dataset.StudyDescription = "Lateral cephalogram"
    dataset.Modality, dataset.InstanceNumber = "DX", 4
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME2", "IDENTITY"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = [2048, 1000], [4096, 2000]
    dataset.WindowCenterWidthExplanation = ["NORMAL", "HARD"]
    dataset.BurnedInAnnotation = "NO"
    for name, value in changes.items():
        if value is None:
            dataset.pop(name, None)
        else:
            setattr(dataset, name, value)
    return dataset


def saved(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a film."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", DX)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", IMAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def header(folder: Path, **changes: Any) -> Dataset:
    """Return the header of a film as it is read from a file."""
    return source_header(saved(film(**changes), folder / "film.dcm"))


def detection_on(**changes: Any) -> Detection:
    """Return a detection on a film: x = 20.25, 30.25, ..., y = 50.75, 60.75, ..., every fifth uncertain."""
    values: dict[str, Any] = {
        "file": "film.dcm",
        "study_uid": STUDY,
        "series_uid": SERIES,
        "image_uid": IMAGE,
        "rows": ROWS,
        "columns": COLUMNS,
        "pixel_spacing": (0.25, 0.125),
        "spacing_source": SpacingSource.PIXEL_SPACING_CALIBRATED,
        "turned": 0,
        "mirrored": False,
        "inverted": False,
        "state": "ok",
        "landmarks": tuple(
            DetectedLandmark(
                number=mark.number,
                name=mark.name,
                symbol=mark.symbol,
                x=20.25 + 10 * index,
                y=50.75 + 10 * index,
                score=0.5 + index / 64,
                status="uncertain" if index % 5 == 0 else "ok",
            )
            for index, mark in enumerate(LANDMARKS)
        ),
        "model": ModelIdentity(
            name="test", version="1", weights_sha256="ab" * 32, recipe_sha256="cd" * 32, software="test 1"
        ),
        "warnings": ("The head is turned.", "The scale is magnified."),
        "created": CREATED,
        "seconds": {},
    }
    return Detection(**{**values, **changes})


def without(detection: Detection, *symbols: str) -> Detection:
    """Return the detection with some landmarks missing."""
    gone = {"x": None, "y": None, "status": "missing", "score": 0.125}
    marks = [mark.model_copy(update=gone) if mark.symbol in symbols else mark for mark in detection.landmarks]
    return detection.model_copy(update={"landmarks": tuple(marks)})


def one_point(**changes: Any) -> Detection:
    """Return a detection of one landmark: its objects have the same headers as with all, and are quicker to make."""
    return without(detection_on(**changes), *SYMBOLS[1:])


def colour_film(**changes: Any) -> Dataset:
    """Return an RGB secondary capture."""
    grey = dict.fromkeys(("PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType"))
    window = dict.fromkeys(("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"))
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return film(**{"SOPClassUID": SC, "Modality": "OT", **grey, **window, **colour, **depth, **changes})


def frames_film(**changes: Any) -> Dataset:
    """Return a secondary capture with three frames."""
    return film(**{"SOPClassUID": SC_WORD_FRAMES, "Modality": "OT", "NumberOfFrames": 3, **changes})
