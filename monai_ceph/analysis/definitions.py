"""Definitions of the measurements, each with its source. There are no norms and no classes.

``angle.py`` of the ISBI 2015 challenge truncates coordinates to whole pixels and assumes 0.1 mm per pixel. Here
coordinates keep their fractions, and the scale is that of the film.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from monai_ceph.analysis.plane import Face, angle, distance, inside, turn

__all__ = ["DEFINITIONS", "Definition", "Unit"]

Unit = Literal["degree", "ratio", "mm"]

_SN, _NS, _NA, _NB = ("S", "N"), ("N", "S"), ("N", "A"), ("N", "B")
_FRANKFORT, _BACKWARD_FRANKFORT = ("Po", "Or"), ("Or", "Po")
_FACIAL, _PALATAL, _MANDIBULAR = ("N", "Pog"), ("PNS", "ANS"), ("Go", "Me")

_CHALLENGE = "ISBI 2015 challenge, evaluation code, angle.py"
_KIM = f"{_CHALLENGE}; signs also in doi:10.1186/s40510-016-0147-8, Table 2"
_DOWNS = "Downs, Angle Orthod 1956;26:191, as quoted in slideshare.net/slideshow/downs-analysis-51555621"
_JARABAK = "Jarabak 1972, as quoted in analyzeceph.com/roth-jarabak-analysis"
_PLANES = "doi:10.1186/s12903-022-02131-3, Table 1"
_HEIGHTS = "PMC4659762, Table 1"
_VERTICAL = "doi:10.4041/kjod.2021.51.1.15, Table 1, planes as in Fig. 1"


@dataclass(frozen=True)
class Definition:
    """One measurement.

    Attributes:
        symbol: the usual short form, unique.
        name: full name.
        unit: degree, ratio or mm.
        landmarks: symbols of the landmarks it needs.
        compute: returns the value on an upright face that looks right.
        text: the definition, in a sentence.
        citation: source of the definition.
    """

    symbol: str
    name: str
    unit: Unit
    landmarks: tuple[str, ...]
    compute: Callable[[Face], float]
    text: str
    citation: str


def _sna(face: Face) -> float:
    return angle(face, _NS, _NA)


def _snb(face: Face) -> float:
    return angle(face, _NS, _NB)


def _facial_angle(face: Face) -> float:
    return angle(face, _BACKWARD_FRANKFORT, _FACIAL)


def _ab_plane(face: Face) -> float:
    return -turn(face, _FACIAL, ("A", "B"))


def _palate(face: Face) -> float:
    return turn(face, _FRANKFORT, _PALATAL)


def _modified_wits(face: Face) -> float:
    length = distance(face, "LI", "UI")
    return -length if face["UI"].real < face["LI"].real else length


def _degrees(
    symbol: str, name: str, landmarks: str, compute: Callable[[Face], float], text: str, citation: str
) -> Definition:
    return Definition(symbol, name, "degree", tuple(landmarks.split()), compute, text, citation)


def _corner(symbol: str, before: str, at: str, after: str) -> Definition:
    return _degrees(
        symbol,
        f"{symbol} angle",
        f"{before} {at} {after}",
        lambda face: inside(face, before, at, after),
        f"angle {before}-{at}-{after}, inside the polygon N-S-Ar-Go-Me",
        _JARABAK,
    )


def _ratio(symbol: str, name: str, over: tuple[str, str], under: tuple[str, str], citation: str) -> Definition:
    return Definition(
        symbol,
        name,
        "ratio",
        tuple(dict.fromkeys((*over, *under))),
        lambda face: distance(face, *over) / distance(face, *under),
        f"distance {over[0]}-{over[1]} divided by distance {under[0]}-{under[1]}",
        citation,
    )


def _length(start: str, end: str, name: str, citation: str) -> Definition:
    text = f"distance from {start} to {end}"
    return Definition(
        f"{start}-{end}", name, "mm", (start, end), lambda face: distance(face, start, end), text, citation
    )


DEFINITIONS: tuple[Definition, ...] = (
    # the eight of the challenge, in its order
    _degrees("ANB", "ANB angle", "S N A B", lambda face: _sna(face) - _snb(face), "SNA minus SNB", _CHALLENGE),
    _degrees("SNB", "SNB angle", "S N B", _snb, "angle at N between S and B", _CHALLENGE),
    _degrees("SNA", "SNA angle", "S N A", _sna, "angle at N between S and A", _CHALLENGE),
    _degrees(
        "ODI",
        "Overbite depth indicator",
        "Or Po A B Me Go PNS ANS",
        lambda face: angle(face, ("Me", "Go"), ("B", "A")) + _palate(face),
        "angle between the directions Me-Go and B-A, plus FH-PP",
        _KIM,
    ),
    _degrees(
        "APDI",
        "Anteroposterior dysplasia indicator",
        "N Or Po A B Pog PNS ANS",
        lambda face: _facial_angle(face) + _ab_plane(face) + _palate(face),
        "facial angle plus A-B plane angle plus FH-PP",
        _KIM,
    ),
    _ratio("FHI", "Facial height index", ("S", "Go"), ("N", "Me"), _CHALLENGE),
    _degrees(
        "FMA (SN-GoGn)",
        "SN to mandibular plane Go-Gn, which the challenge calls FMA",
        "S N Gn Go",
        lambda face: angle(face, _SN, ("Go", "Gn")),
        "angle between the directions S-N and Go-Gn",
        _CHALLENGE,
    ),
    Definition(
        "MW",
        "Modified Wits",
        "mm",
        ("LI", "UI"),
        _modified_wits,
        "distance between the tips of the lower and the upper incisor, negative if the upper one is behind the lower "
        "one along the rows of the upright film; it is no Wits appraisal",
        _CHALLENGE,
    ),
    # what else the 19 landmarks give
    _degrees(
        "FMA (FH-GoMe)",
        "Frankfort-mandibular plane angle",
        "Or Po Me Go",
        lambda face: turn(face, _FRANKFORT, _MANDIBULAR),
        "turn from Po-Or to Go-Me, positive if they meet behind the face",
        "doi:10.1186/s40510-016-0147-8, Table 2 (FMP), with Go-Me of doi:10.1186/s40510-017-0198-5, Fig. 2",
    ),
    _degrees(
        "Facial angle",
        "Facial angle",
        "N Or Po Pog",
        _facial_angle,
        "lower inner angle between the Frankfort plane Or-Po and the facial plane N-Pog",
        _DOWNS,
    ),
    _degrees(
        "Convexity",
        "Angle of convexity",
        "N A Pog",
        lambda face: turn(face, _NA, ("A", "Pog")),
        "turn from N-A to A-Pog, positive if A is ahead of N-Pog",
        _DOWNS,
    ),
    _degrees(
        "A-B plane",
        "A-B plane angle",
        "N A B Pog",
        _ab_plane,
        "angle between the facial plane N-Pog and A-B, positive if B is ahead of A, seen from the facial plane",
        "doi:10.1186/s40510-016-0147-8, Table 2 (APDI)",
    ),
    _degrees(
        "FH-PP",
        "Frankfort to palatal plane",
        "Or Po PNS ANS",
        _palate,
        "turn from Po-Or to PNS-ANS, positive if the palatal plane is tipped down in front",
        "doi:10.1186/s40510-016-0147-8, Table 2 (ODI)",
    ),
    _degrees(
        "Y-axis (FH)",
        "Y-axis to Frankfort plane",
        "S Or Po Gn",
        lambda face: turn(face, _FRANKFORT, ("S", "Gn")),
        "turn from Po-Or to S-Gn, positive if Gn is below",
        "Downs 1948, as quoted in bruxistas.wordpress.com/2010/09/05/cephalometric-planes-and-lines",
    ),
    _degrees(
        "Y-axis (SN)",
        "Y-axis to SN",
        "S N Gn",
        lambda face: turn(face, _SN, ("S", "Gn")),
        "turn from S-N to S-Gn, positive if Gn is below",
        _VERTICAL,
    ),
    _degrees(
        "SN-GoMe",
        "SN to mandibular plane Go-Me",
        "S N Me Go",
        lambda face: turn(face, _SN, _MANDIBULAR),
        "turn from S-N to Go-Me, positive if they meet behind the face",
        _PLANES,
    ),
    _degrees(
        "SN-PP",
        "SN to palatal plane",
        "S N PNS ANS",
        lambda face: turn(face, _SN, _PALATAL),
        "turn from S-N to PNS-ANS, positive if they meet behind the face",
        _PLANES,
    ),
    _degrees(
        "PP-GoMe",
        "Palatal to mandibular plane",
        "Me Go PNS ANS",
        lambda face: turn(face, _PALATAL, _MANDIBULAR),
        "turn from PNS-ANS to Go-Me, positive if they meet behind the face",
        _PLANES,
    ),
    _corner("Saddle", "N", "S", "Ar"),
    _corner("Articular", "S", "Ar", "Go"),
    _corner("Gonial", "Ar", "Go", "Me"),
    _ratio("LAFH/TAFH", "Lower to total anterior facial height", ("ANS", "Me"), ("N", "Me"), _HEIGHTS),
    _length("S", "N", "Length of the anterior cranial base", _HEIGHTS),
    _length("S", "Go", "Posterior facial height", _HEIGHTS),
    _length("N", "Me", "Anterior facial height", _HEIGHTS),
    _length("N", "ANS", "Upper anterior facial height", _HEIGHTS),
    _length("ANS", "Me", "Lower anterior facial height", _HEIGHTS),
    _length("Go", "Me", "Length of the mandibular body", _PLANES),
)
"""All measurements, in the order in which they are reported."""
