"""The phantom as a Digital X-Ray Image, For Presentation (DICOM PS3.3 A.26)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

MAGNIFICATION = 1.1
"""Magnification of the median plane at the detector, typical of a cephalostat."""


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def save_dicom(path: Path, pixels: np.ndarray, pixel_spacing: float, seed: int) -> None:
    """Write one film.

    Args:
        path: the file to write.
        pixels: (rows, columns) uint16 in 0..4095.
        pixel_spacing: mm per pixel in the patient plane. ImagerPixelSpacing is larger by the magnification.
        seed: determines the UIDs and identifiers, so the same film always has the same UIDs.
    """
    rows, columns = pixels.shape
    key = f"monai-ceph phantom {seed} {rows} {columns}"
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[key, "instance"])
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
    ds.SpecificCharacterSet = "ISO_IR 192"

    ds.PatientName = "PHANTOM^CEPH"
    ds.PatientID = f"PHANTOM{seed:06d}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.PatientOrientation = ["A", "F"]
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[key, "study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[key, "series"])
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20200101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.StudyID = str(seed)
    ds.StudyDescription = "Synthetic lateral cephalogram"
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.SeriesNumber = ds.InstanceNumber = ds.AcquisitionNumber = 1
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = "monai-ceph"
    ds.ManufacturerModelName = "Procedural phantom"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"

    ds.BodyPartExamined = "HEAD"
    ds.AnatomicRegionSequence = Sequence([_code("69536005", "Head")])
    ds.ImageLaterality = "U"
    # Left side towards the film: a patient who faces right, seen from the tube.
    ds.ViewPosition = "LL"
    view = _code("399173006", "left lateral")
    ds.ViewCodeSequence = Sequence([view])
    ds.PositionerType = "CEPHALOSTAT"
    ds.AcquisitionContextSequence = Sequence([])
    ds.KVP = "75"
    ds.DistanceSourceToDetector = "1650"
    ds.DistanceSourceToPatient = "1500"
    ds.EstimatedRadiographicMagnificationFactor = f"{MAGNIFICATION:g}"
    ds.DetectorType = "STORAGE"

    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PixelSpacing = [f"{pixel_spacing:.8g}"] * 2
    ds.ImagerPixelSpacing = [f"{pixel_spacing * MAGNIFICATION:.8g}"] * 2
    ds.PixelSpacingCalibrationType = "GEOMETRY"
    ds.PixelSpacingCalibrationDescription = "Detector spacing over the magnification of the median plane"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.QualityControlImage = "YES"
    ds.DerivationDescription = "Procedural phantom: no real pixel"

    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PresentationLUTShape = "IDENTITY"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth = "2048", "4096"
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)
