"""The vocabulary: the 19 landmarks of the ISBI 2015 challenge, in its order.

Only this module defines the order: use :data:`SYMBOLS`, :data:`NAMES` or :func:`index_of`. Configs for other landmarks
list them in the key ``landmarks`` (docs/how-to/own-landmarks.md).
Definitions follow the usual cephalometric textbooks (Jacobson & Jacobson, *Radiographic Cephalometry*,
2006); the order is the line order of the challenge's annotation files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

CODING_SCHEME = "99MONAICEPH"
"""The private coding scheme for concepts without a public code. Its table is docs/reference/codes.md."""


class Code(NamedTuple):
    """A coded concept as DICOM has it (PS3.3 section 8).

    Attributes:
        value: unique in its scheme, at most 16 characters.
        scheme: designator: SCT is SNOMED CT, FMA the Foundational Model of Anatomy, 99MONAICEPH private.
        meaning: text for people, at most 64 characters.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Landmark:
    """One anatomical landmark.

    Attributes:
        number: 1-based number in the ISBI 2015 annotation files.
        symbol: the usual short form, unique, ASCII.
        name: the usual English name.
        definition: its position, in a sentence.
        code: its code, unique among the landmarks.
        site: the part of the body it belongs to, a SNOMED CT code.
    """

    number: int
    symbol: str
    name: str
    definition: str
    code: Code
    site: Code


def _own(value: str, meaning: str = "") -> Code:
    return Code(value, CODING_SCHEME, meaning or value)


_SELLA = Code("42575006", "SCT", "Sella turcica")
_NASION = Code("264779", "FMA", "Nasion")
_NASAL_BONE = Code("74386004", "SCT", "Nasal bone")
_ORBIT = Code("363654007", "SCT", "Orbital structure")
_MEATUS = Code("84301002", "SCT", "External Auditory Meatus")
_MAXILLA = Code("70925003", "SCT", "Maxilla")
_MANDIBLE = Code("91609006", "SCT", "Mandible")
_LOWER_INCISORS = Code("442274007", "SCT", "Mandibular incisor teeth")
_UPPER_INCISORS = Code("442100006", "SCT", "Maxillary incisor teeth")
_UPPER_LIP = Code("16251004", "SCT", "Skin of upper lip")
_LOWER_LIP = Code("66934001", "SCT", "Skin of lower lip")
_NOSE = Code("113179006", "SCT", "Skin of nose")
_CHIN = Code("23747009", "SCT", "Skin of chin")
_PALATINE = Code("51283005", "SCT", "Palatine bone")
_JOINT = Code("53620006", "SCT", "Temporomandibular joint")

LANDMARKS: tuple[Landmark, ...] = tuple(
    Landmark(number, symbol, name, definition, code, site)
    for number, (symbol, name, definition, code, site) in enumerate(
        (
            ("S", "Sella", "centre of the sella turcica", _SELLA, _SELLA),
            ("N", "Nasion", "most anterior point of the frontonasal suture", _NASION, _NASAL_BONE),
            ("Or", "Orbitale", "lowest point of the infraorbital margin", _own("Orbitale"), _ORBIT),
            ("Po", "Porion", "highest point of the external auditory meatus", _own("Porion"), _MEATUS),
            (
                "A",
                "Subspinale (A point)",
                "deepest point of the anterior contour of the maxilla",
                _own("Subspinale", "Subspinale (A point)"),
                _MAXILLA,
            ),
            (
                "B",
                "Supramentale (B point)",
                "deepest point of the anterior contour of the mandible",
                _own("Supramentale", "Supramentale (B point)"),
                _MANDIBLE,
            ),
            ("Pog", "Pogonion", "most anterior point of the bony chin", _own("Pogonion"), _MANDIBLE),
            ("Me", "Menton", "lowest point of the mandibular symphysis", _own("Menton"), _MANDIBLE),
            (
                "Gn",
                "Gnathion",
                "most anterior-inferior point of the bony chin, between Pogonion and Menton",
                _own("Gnathion"),
                _MANDIBLE,
            ),
            (
                "Go",
                "Gonion",
                "most posterior-inferior point of the angle of the mandible",
                _own("Gonion"),
                _MANDIBLE,
            ),
            (
                "LI",
                "Incision inferius",
                "tip of the most prominent lower incisor",
                _own("IncisionInferius", "Incision inferius"),
                _LOWER_INCISORS,
            ),
            (
                "UI",
                "Incision superius",
                "tip of the most prominent upper incisor",
                _own("IncisionSuperius", "Incision superius"),
                _UPPER_INCISORS,
            ),
            ("UL", "Upper lip", "most anterior point of the upper lip", _own("UpperLip", "Upper lip"), _UPPER_LIP),
            ("LL", "Lower lip", "most anterior point of the lower lip", _own("LowerLip", "Lower lip"), _LOWER_LIP),
            (
                "Sn",
                "Subnasale",
                "junction of the columella of the nose and the upper lip",
                _own("Subnasale"),
                _NOSE,
            ),
            (
                "Pog'",
                "Soft tissue pogonion",
                "most anterior point of the soft tissue of the chin",
                _own("SoftPogonion", "Soft tissue pogonion"),
                _CHIN,
            ),
            (
                "PNS",
                "Posterior nasal spine",
                "tip of the posterior spine of the palatine bone",
                _own("PNS", "Posterior nasal spine"),
                _PALATINE,
            ),
            (
                "ANS",
                "Anterior nasal spine",
                "tip of the anterior nasal spine of the maxilla",
                _own("ANS", "Anterior nasal spine"),
                _MAXILLA,
            ),
            (
                "Ar",
                "Articulare",
                "crossing of the posterior border of the ramus and the cranial base",
                _own("Articulare"),
                _JOINT,
            ),
        ),
        start=1,
    )
)

SYMBOLS: tuple[str, ...] = tuple(landmark.symbol for landmark in LANDMARKS)
NAMES: tuple[str, ...] = tuple(landmark.name for landmark in LANDMARKS)
NUM_LANDMARKS = len(LANDMARKS)

_INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}


def name_of(symbol: str) -> str:
    """Return the name of a landmark, or the symbol itself if it is not in this vocabulary."""
    return NAMES[_INDEX[symbol]] if symbol in _INDEX else symbol


def index_of(symbol: str) -> int:
    """Return the 0-based channel of a landmark.

    Raises:
        KeyError: if no landmark has this symbol.
    """
    return _INDEX[symbol]
