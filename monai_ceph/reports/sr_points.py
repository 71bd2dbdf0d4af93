"""Reads points from SR documents: those of this package, and those that OHIF and other Cornerstone viewers save.

Documents follow TID 1500 of PS3.16. Each point is a measurement group: TID 1410 has the point in the group, Cornerstone
has it below a number of the group (TID 1501 with TID 320).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydicom import Dataset

from monai_ceph.datasets.points import FilmPoints
from monai_ceph.errors import CephError
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS, NUM_LANDMARKS, Landmark
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.reports import dicom_codes as codes

__all__ = ["films_of_report", "read_points"]

_MEASUREMENT_GROUP = ("125007", "DCM")
_TRACKING_IDENTIFIER = ("112039", "DCM")
_FINDING_SITES = (("363698007", "SCT"), ("G-C0E3", "SRT"))
# Cornerstone: where the text box is, which is no place on the patient; and a label as a code
_TEXT_POSITION, _FREE_TEXT = "TextPosition", "CORNERSTONEFREETEXT"

_BY_CODE = {(mark.code.value, mark.code.scheme): mark for mark in (*LANDMARKS, *EXTRA_LANDMARKS)}
_BY_NAME = {name.casefold(): mark for mark in (*LANDMARKS, *EXTRA_LANDMARKS) for name in (mark.name, mark.symbol)}


def films_of_report(document: Dataset) -> list[FilmPoints]:
    """Return the landmarks of an SR document by film, named by the SOP Instance UID of the film, ``#`` and a frame.

    Pixel centres are at integers, as everywhere in this package. Points and shapes that no landmark is called by are
    left out. A landmark is recognised by its comment, its finding, its finding site or its tracking identifier, as a
    code or as a name or symbol in upper or lower case. The scale is that of the Image Library, if it has one.

    Raises:
        CephError: the document is not a TID 1500 report, two points are the same landmark, or the label of a point
            and its code are different landmarks.
    """
    films: dict[tuple[str, int | None], FilmPoints] = {}
    try:
        for group in _groups(document):
            landmark, point = _landmark(group), _point(group)
            if landmark is None or point is None:
                continue
            image, frame, place = point
            film = films.setdefault((image, frame), _film(image, frame))
            if landmark.symbol in film.places:
                raise CephError(f"the report has two points for {landmark.name}; keep one")
            film.places[landmark.symbol] = place
    except CephError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CephError(f"SR {document.get('SOPInstanceUID')}: not a report of landmarks: {error}") from error
    for film in films.values():
        film.pixel_spacing, film.spacing_source = _scale(document, film)
    return list(films.values())


def read_points(document: Dataset) -> dict[str, np.ndarray]:
    """Return the landmarks of an SR document by SOP Instance UID of the film.

    Each is (19, 2), (row, column) in source pixels, pixel centres at integers; NaN where there is no point.

    Raises:
        CephError: as :func:`films_of_report`.
    """
    found: dict[str, np.ndarray] = {}
    for film in films_of_report(document):
        points = found.setdefault(str(film.image_uid), np.full((NUM_LANDMARKS, 2), np.nan))
        for index, landmark in enumerate(LANDMARKS):
            if landmark.symbol in film.places:
                points[index] = film.places[landmark.symbol][::-1]
    return found


def _film(image: str, frame: int | None) -> FilmPoints:
    name = image if frame is None else f"{image}#{frame}"
    return FilmPoints(name, image_uid=image, frame=frame, on_film_only=True)


def _groups(document: Dataset) -> Iterator[Dataset]:
    for part in document.ContentSequence:
        for item in part.get("ContentSequence") or ():
            if item.ValueType == "CONTAINER" and _name(item)[:2] == _MEASUREMENT_GROUP:
                yield item


def _name(item: Dataset) -> tuple[str, str, str]:
    """Return the concept name of an item: value, scheme, meaning; empty if it has none."""
    return _code(item, "ConceptNameCodeSequence")


def _code(item: Dataset, keyword: str) -> tuple[str, str, str]:
    sequence = item.get(keyword) or [Dataset()]
    value, scheme, meaning = (
        str(sequence[0].get(name) or "") for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    )
    return value, scheme, meaning


def _landmark(group: Dataset) -> Landmark | None:
    """Return the landmark of a group. People change the comment in a viewer, and never see the codes."""
    comments, findings, sites, tracking = [], [], [], []
    for item in group.get("ContentSequence") or ():
        name = _name(item)[:2]
        if item.ValueType == "TEXT" and name == codes.COMMENT[:2]:
            comments.append(_named(item.TextValue))
        elif item.ValueType == "TEXT" and name == _TRACKING_IDENTIFIER:
            tracking.append(_named(item.TextValue))
        elif item.ValueType == "CODE" and name == codes.FINDING[:2]:
            findings.append(_coded(item))
        elif item.ValueType == "CODE" and name in _FINDING_SITES:
            sites.append(_coded(item))
    label, coded = (
        next((mark for mark in marks if mark is not None), None) for marks in (comments, (*findings, *sites))
    )
    if label is not None and coded is not None and label != coded:
        raise CephError(f"a point is called {label.name}, but has the code of {coded.name}; delete it, place a new one")
    return label or coded or next((mark for mark in tracking if mark is not None), None)


def _named(text: object) -> Landmark | None:
    return _BY_NAME.get(str(text).strip().casefold())


def _coded(item: Dataset) -> Landmark | None:
    value, scheme, meaning = _code(item, "ConceptCodeSequence")
    return _named(meaning) if value == _FREE_TEXT else _BY_CODE.get((value, scheme))


def _point(group: Dataset) -> tuple[str, int | None, tuple[float, float]] | None:
    """Return image, frame and (x, y) of a group's point; None if it has another shape."""
    items = list(group.ContentSequence)
    below = [part for item in items if item.ValueType == "NUM" for part in item.get("ContentSequence") or ()]
    for item in (*items, *below):
        if item.ValueType != "SCOORD" or _name(item)[0] == _TEXT_POSITION:
            continue
        if item.GraphicType != "POINT":
            return None
        # Cornerstone's arrows have their tip first and then their end
        column, row = (float(value) for value in item.GraphicData[:2])
        if not (math.isfinite(column) and math.isfinite(row)):
            raise CephError("a point of the report has no finite place")
        (image,) = item.ContentSequence[0].ReferencedSOPSequence
        frame = image.get("ReferencedFrameNumber")
        return str(image.ReferencedSOPInstanceUID), None if frame is None else int(frame), (column - 0.5, row - 0.5)
    return None


def _scale(document: Dataset, film: FilmPoints) -> tuple[tuple[float, float] | None, SpacingSource]:
    """Return the scale and its source from the film's entry in the Image Library."""
    sources = {code[:2]: source for source, code in codes.SCALE_SOURCES.items()}
    for part in document.ContentSequence:
        for group in part.get("ContentSequence") or () if _name(part)[:2] == codes.IMAGE_LIBRARY[:2] else ():
            for entry in group.get("ContentSequence") or ():
                image = (entry.get("ReferencedSOPSequence") or [Dataset()])[0]
                if str(image.get("ReferencedSOPInstanceUID")) != film.image_uid:
                    continue
                numbers, source = {}, SpacingSource.USER
                for item in entry.get("ContentSequence") or ():
                    if item.ValueType == "NUM" and item.get("MeasuredValueSequence"):
                        numbers[_name(item)[:2]] = float(item.MeasuredValueSequence[0].NumericValue)
                    elif _name(item)[:2] == codes.SCALE_SOURCE[:2]:
                        source = sources.get(_code(item, "ConceptCodeSequence")[:2], source)
                row, column = (numbers.get(code[:2]) for code in (codes.VERTICAL_SPACING, codes.HORIZONTAL_SPACING))
                if row and column:
                    return (row, column), source
    return None, SpacingSource.NONE
