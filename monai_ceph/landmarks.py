"""The vocabulary: the 19 landmarks of the ISBI 2015 challenge, in its order.

Nothing else in the package knows an index: use :data:`SYMBOLS`, :data:`NAMES` or :func:`index_of`.
Definitions follow the usual cephalometric textbooks (Jacobson & Jacobson, *Radiographic Cephalometry*,
2006); the order is the line order of the challenge's annotation files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Landmark:
    """One anatomical landmark.

    Attributes:
        number: 1-based number in the ISBI 2015 annotation files.
        symbol: the usual short form, unique, ASCII.
        name: the usual English name.
        definition: where it lies, in a sentence.
    """

    number: int
    symbol: str
    name: str
    definition: str


LANDMARKS: tuple[Landmark, ...] = tuple(
    Landmark(number, symbol, name, definition)
    for number, (symbol, name, definition) in enumerate(
        (
            ("S", "Sella", "centre of the sella turcica"),
            ("N", "Nasion", "most anterior point of the frontonasal suture"),
            ("Or", "Orbitale", "lowest point of the infraorbital margin"),
            ("Po", "Porion", "highest point of the external auditory meatus"),
            ("A", "Subspinale (A point)", "deepest point of the anterior contour of the maxilla"),
            ("B", "Supramentale (B point)", "deepest point of the anterior contour of the mandible"),
            ("Pog", "Pogonion", "most anterior point of the bony chin"),
            ("Me", "Menton", "lowest point of the mandibular symphysis"),
            ("Gn", "Gnathion", "most anterior-inferior point of the bony chin, between Pogonion and Menton"),
            ("Go", "Gonion", "most posterior-inferior point of the angle of the mandible"),
            ("LI", "Incision inferius", "tip of the most prominent lower incisor"),
            ("UI", "Incision superius", "tip of the most prominent upper incisor"),
            ("UL", "Upper lip", "most anterior point of the upper lip"),
            ("LL", "Lower lip", "most anterior point of the lower lip"),
            ("Sn", "Subnasale", "junction of the columella of the nose and the upper lip"),
            ("Pog'", "Soft tissue pogonion", "most anterior point of the soft tissue of the chin"),
            ("PNS", "Posterior nasal spine", "tip of the posterior spine of the palatine bone"),
            ("ANS", "Anterior nasal spine", "tip of the anterior nasal spine of the maxilla"),
            ("Ar", "Articulare", "crossing of the posterior border of the ramus and the cranial base"),
        ),
        start=1,
    )
)

SYMBOLS: tuple[str, ...] = tuple(landmark.symbol for landmark in LANDMARKS)
NAMES: tuple[str, ...] = tuple(landmark.name for landmark in LANDMARKS)
NUM_LANDMARKS = len(LANDMARKS)

_INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}


def index_of(symbol: str) -> int:
    """Return the 0-based channel of a landmark.

    Raises:
        KeyError: if no landmark has this symbol.
    """
    return _INDEX[symbol]
