"""The measurements of a film in an SR document: Derived Imaging Measurements (PS3.16 TID 1500).

They are no measurement groups: OHIF 3.12 and 3.13 show an error page for a group without a point. They name no groups
by reference either, which highdicom cannot read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from highdicom import sr

from monai_ceph.analysis import DEFINITIONS, Measurement
from monai_ceph.landmarks import CODING_SCHEME, Code
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_codes import concept
from monai_ceph.reports.loinc_codes import LOINC_CODES

__all__ = ["MEASUREMENT_CODES", "UNITS", "derived_measurements", "measurement_code"]

_LONG_STRING = 64

UNITS: dict[str, Code] = {
    "degree": Code("deg", "UCUM", "degree"),
    "mm": codes.MILLIMETRES,
    "percent": Code("%", "UCUM", "percent"),
    "ratio": codes.NO_UNITS,
}
"""Units of measurements as UCUM has them."""


def measurement_code(symbol: str, name: str) -> Code:
    """Return the private code of a measurement: letters and figures of its symbol, such as ``U1NADeg``.

    Args:
        symbol: of the measurement.
        name: its full name.
    """
    plain = unicodedata.normalize("NFKD", symbol).encode("ascii", "ignore").decode()
    value = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", plain))
    meaning = f"{plain}: {name}"
    return Code(value, CODING_SCHEME, meaning if len(meaning) <= _LONG_STRING else plain)


MEASUREMENT_CODES: dict[str, Code] = {each.symbol: measurement_code(each.symbol, each.name) for each in DEFINITIONS}
"""The codes of all measurements by symbol, in the order of docs/reference/codes.md."""


def derived_measurements(measurements: Iterable[Measurement]) -> sr.ContainerContentItem | None:
    """Return the container of the measurements that have a value, None if there is none.

    Each is a number with its unit. It has as properties the ends of its 95 % interval, if that is known, how far they
    lie from the value (TID 310, context group 225), and the status "found, uncertain" if that is the status of one of
    its landmarks.

    Args:
        measurements: of one film.
    """
    items = [_number(each, each.value) for each in measurements if each.value is not None]
    if not items:
        return None
    container = sr.ContainerContentItem(
        name=concept(codes.DERIVED_MEASUREMENTS), relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _name(symbol: str) -> sr.CodedConcept:
    """Return the private code, and LOINC's as its equivalent if there is one (PS3.3 8.9)."""
    name = concept(MEASUREMENT_CODES[symbol])
    if (public := LOINC_CODES.get(symbol)) is not None:
        name.EquivalentCodeSequence = [concept(public)]
    return name


def _number(measurement: Measurement, value: float) -> sr.NumContentItem:
    has = sr.RelationshipTypeValues.HAS_PROPERTIES
    unit = concept(UNITS[measurement.unit])
    item = sr.NumContentItem(_name(measurement.symbol), value, unit, None, sr.RelationshipTypeValues.CONTAINS)
    ends: list[tuple[Code, float]] = []
    if measurement.interval is not None:
        low, high = measurement.interval
        ends = [(codes.INTERVAL_LOW, low), (codes.INTERVAL_HIGH, high)]
        if low <= value <= high:
            # public codes, which do not say how sure they are
            ends += [(codes.UNCERTAINTY_ABOVE, high - value), (codes.UNCERTAINTY_BELOW, value - low)]
    properties: Sequence[sr.ContentItem] = [
        *(sr.NumContentItem(concept(end), number, unit, None, has) for end, number in ends),
        *(
            [sr.CodeContentItem(concept(codes.LANDMARK_STATUS), concept(codes.STATUSES["uncertain"]), has)]
            if measurement.uncertain
            else []
        ),
    ]
    if properties:
        item.ContentSequence = sr.ContentSequence(properties)
    return item
