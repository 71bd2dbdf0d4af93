"""Coded concepts of a report, other than landmarks. The table is docs/reference/codes.md."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from monai_ceph.landmarks import CODING_SCHEME, Code
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.result import FilmState, Status

__all__ = [
    "ANATOMICAL_STRUCTURE",
    "COLUMN_POSITION",
    "COMMENT",
    "DERIVED_MEASUREMENTS",
    "FILM_STATE",
    "FILM_STATES",
    "FINDING",
    "HORIZONTAL_SPACING",
    "IMAGE_LIBRARY",
    "IMAGE_LIBRARY_GROUP",
    "IMAGE_VIEW",
    "INTERVAL_HIGH",
    "INTERVAL_LOW",
    "LANDMARK_RADIUS",
    "LANDMARK_SCORE",
    "LANDMARK_STATUS",
    "LATERAL",
    "MILLIMETRES",
    "MODALITY",
    "NOTICE",
    "NO_UNITS",
    "PIXELS",
    "PIXEL_DATA_COLUMNS",
    "PIXEL_DATA_ROWS",
    "PRIVATE_CODES",
    "QUALITATIVE_EVALUATIONS",
    "REPLACED_OBJECT",
    "ROW_POSITION",
    "SCALE_SOURCE",
    "SCALE_SOURCES",
    "STATUSES",
    "TARGET_REGION",
    "UNCERTAINTY_ABOVE",
    "UNCERTAINTY_BELOW",
    "VERTICAL_SPACING",
    "WARNING",
    "coding_scheme",
    "concept",
]

SCHEME_VERSION = "1"


def _own(value: str, meaning: str) -> Code:
    return Code(value, CODING_SCHEME, meaning)


FILM_STATE = _own("FilmState", "State of the film")
LANDMARK_STATUS = _own("LandmarkStatus", "Status of the landmark")
LANDMARK_SCORE = _own("LandmarkScore", "Score of the landmark")
LANDMARK_RADIUS = _own("LandmarkRadius", "Radius that holds the landmark in 90 % of cases")
COLUMN_POSITION = _own("ColumnPosition", "Column position of a landmark outside the image")
ROW_POSITION = _own("RowPosition", "Row position of a landmark outside the image")
INTERVAL_LOW = _own("IntervalLow", "Lower end of the 95 % interval")
INTERVAL_HIGH = _own("IntervalHigh", "Upper end of the 95 % interval")
SCALE_SOURCE = _own("ScaleSource", "Source of the scale")
WARNING = _own("Warning", "Warning")
NOTICE = _own("Notice", "Intended use")
REPLACED_OBJECT = _own("ReplacedObject", "Object that this one replaces")

FILM_STATES: dict[FilmState, Code] = {
    "ok": _own("FilmOk", "Ok as a whole"),
    "uncertain": _own("FilmUncertain", "In doubt as a whole"),
}

STATUSES: dict[Status, Code] = {
    "ok": _own("StatusOk", "Found"),
    "uncertain": _own("StatusUncertain", "Found, uncertain"),
    "missing": _own("StatusMissing", "Not found"),
}

SCALE_SOURCES: dict[SpacingSource, Code] = {
    SpacingSource.PIXEL_SPACING_CALIBRATED: _own("ScaleCalibrated", "PixelSpacing, calibrated"),
    SpacingSource.PIXEL_SPACING_UNSTATED: _own("ScaleUnstated", "PixelSpacing, calibration not stated"),
    SpacingSource.IMAGER_CORRECTED: _own("ScaleCorrected", "Detector spacing, corrected for magnification"),
    SpacingSource.IMAGER_DISTANCES: _own("ScaleDistances", "Detector spacing, corrected by distances"),
    SpacingSource.IMAGER_MAGNIFIED: _own("ScaleMagnified", "Detector spacing, magnified"),
    SpacingSource.NOMINAL_SCANNED: _own("ScaleScannedFilm", "Scanned film, magnified"),
    SpacingSource.HEADER: _own("ScaleHeader", "Image header"),
    SpacingSource.USER: _own("ScaleUser", "Given by the user"),
    SpacingSource.IMPLAUSIBLE: _own("ScaleImplausible", "Stated scale is implausible"),
    SpacingSource.NONE: _own("ScaleNone", "No scale"),
}

PRIVATE_CODES: tuple[Code, ...] = (
    *(LANDMARK_STATUS, *STATUSES.values(), LANDMARK_SCORE, LANDMARK_RADIUS, COLUMN_POSITION, ROW_POSITION),
    *(INTERVAL_LOW, INTERVAL_HIGH),
    *(FILM_STATE, *FILM_STATES.values(), SCALE_SOURCE, *SCALE_SOURCES.values(), WARNING, NOTICE),
    REPLACED_OBJECT,
)
"""All private codes other than landmarks and measurements, in the order of docs/reference/codes.md."""

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
DERIVED_MEASUREMENTS = Code("126011", "DCM", "Derived Imaging Measurements")
COMMENT = Code("121106", "DCM", "Comment")
FINDING = Code("121071", "DCM", "Finding")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
MODALITY = Code("121139", "DCM", "Modality")
TARGET_REGION = Code("123014", "DCM", "Target Region")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
LATERAL = Code("399067008", "SCT", "lateral")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
UNCERTAINTY_ABOVE = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
UNCERTAINTY_BELOW = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
PIXELS = Code("{pixels}", "UCUM", "pixels")
MILLIMETRES = Code("mm", "UCUM", "mm")
NO_UNITS = Code("1", "UCUM", "no units")


def concept(code: Code) -> CodedConcept:
    """Return a code as a highdicom concept."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def coding_scheme() -> CodingSchemeIdentificationItem:
    """Return the item that identifies the private coding scheme (PS3.3 C.12.1.1.1)."""
    return CodingSchemeIdentificationItem(
        CODING_SCHEME,
        name="Cephalometric landmarks of monai-ceph",
        version=SCHEME_VERSION,
        responsible_organization="monai-ceph",
    )
