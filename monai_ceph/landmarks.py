"""The vocabulary: the 19 landmarks of the ISBI 2015 challenge, in its order, and those that only people place.

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
        number: 1-based number in the ISBI 2015 annotation files; the extra landmarks continue it.
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
_TOOTH = Code("38199008", "SCT", "Tooth")
_OCCIPITAL = Code("31640002", "SCT", "Occipital bone")
_SPHENOID = Code("73117003", "SCT", "Sphenoid bone")
_NOSE_TIP = Code("79283007", "SCT", "Skin of tip of nose")
_FOREHEAD = Code("68698007", "SCT", "Skin of forehead")
_NECK = Code("43081002", "SCT", "Skin of neck")

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

EXTRA_LANDMARKS: tuple[Landmark, ...] = tuple(
    Landmark(number, symbol, name, definition, code, site)
    for number, (symbol, name, definition, code, site) in enumerate(
        (
            (
                "U1A",
                "Upper incisor apex",
                "apex of the root of the most prominent upper incisor",
                _own("UpperIncisorApex", "Upper incisor apex"),
                _UPPER_INCISORS,
            ),
            (
                "L1A",
                "Lower incisor apex",
                "apex of the root of the most prominent lower incisor",
                _own("LowerIncisorApex", "Lower incisor apex"),
                _LOWER_INCISORS,
            ),
            (
                "U6",
                "Upper first molar",
                "tip of the mesiobuccal cusp of the upper first molar",
                _own("UpperFirstMolar", "Upper first molar"),
                _TOOTH,
            ),
            (
                "L6",
                "Lower first molar",
                "tip of the mesiobuccal cusp of the lower first molar",
                _own("LowerFirstMolar", "Lower first molar"),
                _TOOTH,
            ),
            ("Prn", "Pronasale", "most anterior point of the nose", _own("Pronasale"), _NOSE_TIP),
            (
                "Cm",
                "Columella",
                "most anterior point of the columella of the nose",
                _own("Columella"),
                _NOSE,
            ),
            (
                "N'",
                "Soft tissue nasion",
                "deepest point of the soft tissue between forehead and nose",
                _own("SoftNasion", "Soft tissue nasion"),
                _NOSE,
            ),
            (
                "G'",
                "Soft tissue glabella",
                "most anterior point of the forehead",
                _own("SoftGlabella", "Soft tissue glabella"),
                _FOREHEAD,
            ),
            (
                "Gn'",
                "Soft tissue gnathion",
                "point of the soft tissue of the chin over Gnathion",
                _own("SoftGnathion", "Soft tissue gnathion"),
                _CHIN,
            ),
            (
                "Me'",
                "Soft tissue menton",
                "lowest point of the soft tissue of the chin",
                _own("SoftMenton", "Soft tissue menton"),
                _CHIN,
            ),
            (
                "C",
                "Cervical point",
                "innermost point between the soft tissue of the chin and the neck",
                _own("CervicalPoint", "Cervical point"),
                _NECK,
            ),
            (
                "Co",
                "Condylion",
                "most posterior-superior point of the head of the mandible",
                _own("Condylion"),
                _JOINT,
            ),
            ("Ba", "Basion", "lowest point of the anterior margin of the foramen magnum", _own("Basion"), _OCCIPITAL),
            (
                "Bo",
                "Bolton point",
                "highest point behind the occipital condyle",
                _own("BoltonPoint", "Bolton point"),
                _OCCIPITAL,
            ),
            (
                "PT",
                "Pterygoid point",
                "lower border of the foramen rotundum on the posterior wall of the pterygomaxillary fissure",
                _own("PterygoidPoint", "Pterygoid point"),
                _SPHENOID,
            ),
            (
                "Ptm",
                "Pterygomaxillary fissure",
                "lowest point of the pterygomaxillary fissure",
                _own("Ptm", "Pterygomaxillary fissure"),
                _SPHENOID,
            ),
            ("D", "D point", "centre of the mandibular symphysis", _own("DPoint", "D point"), _MANDIBLE),
            (
                "UMT",
                "Upper molar cusp tip",
                "tip of a cusp of the upper molar, as the Aariz data set names it",
                _own("UpperMolarCusp", "Upper molar cusp tip"),
                _TOOTH,
            ),
            (
                "LMT",
                "Lower molar cusp tip",
                "tip of a cusp of the lower molar, as the Aariz data set names it",
                _own("LowerMolarCusp", "Lower molar cusp tip"),
                _TOOTH,
            ),
            (
                "UPM",
                "Upper premolar cusp tip",
                "tip of a cusp of the upper second premolar",
                _own("UpperPremolar", "Upper premolar cusp tip"),
                _TOOTH,
            ),
            (
                "LPM",
                "Lower premolar cusp tip",
                "tip of a cusp of the lower second premolar",
                _own("LowerPremolar", "Lower premolar cusp tip"),
                _TOOTH,
            ),
            (
                "R",
                "Ramus point",
                "point on the ramus of the mandible, as the Aariz data set marks it",
                _own("RamusPoint", "Ramus point"),
                _MANDIBLE,
            ),
        ),
        start=len(LANDMARKS) + 1,
    )
)
"""Landmarks that the model does not find and a person may place; they make more measurements possible."""

SYMBOLS: tuple[str, ...] = tuple(landmark.symbol for landmark in LANDMARKS)
NAMES: tuple[str, ...] = tuple(landmark.name for landmark in LANDMARKS)
NUM_LANDMARKS = len(LANDMARKS)

EXTRA_SYMBOLS: tuple[str, ...] = tuple(landmark.symbol for landmark in EXTRA_LANDMARKS)

_INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}
_BY_SYMBOL = {landmark.symbol: landmark for landmark in (*LANDMARKS, *EXTRA_LANDMARKS)}


def landmark_of(symbol: str) -> Landmark | None:
    """Return a landmark of the vocabulary, with the extra ones, or None if no landmark has this symbol."""
    return _BY_SYMBOL.get(symbol)


def name_of(symbol: str) -> str:
    """Return the name of a landmark, or the symbol itself if it is not in this vocabulary."""
    return _BY_SYMBOL[symbol].name if symbol in _BY_SYMBOL else symbol


def index_of(symbol: str) -> int:
    """Return the 0-based channel of a landmark.

    Raises:
        KeyError: if no landmark has this symbol.
    """
    return _INDEX[symbol]
