"""What a study reports of an evaluation beside its errors: agreement of coordinates, measurements and classes.

The reference is the truth of the evaluation, such as the mean of both doctors. Where two annotators marked the films,
their agreement is listed beside the model's: the junior's reading, with the senior's as reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from monai_ceph.analysis import DEFINITIONS, Definition
from monai_ceph.analysis.agreement import Agreement, agreement
from monai_ceph.analysis.challenge import (
    MEASURES,
    ClassAgreement,
    challenge_classes,
    class_agreement,
    corrected_classes,
    measurement_of,
)
from monai_ceph.analysis.plane import QUARTER_TURNS, Face
from monai_ceph.datasets import Film
from monai_ceph.errors import CephError
from monai_ceph.evaluation import Evaluation
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.metrics import radial_errors

__all__ = ["Compared", "LandmarkAgreement", "MeasurementAgreement", "Reader", "Study", "measurements_of_the_19"]

Reader = str
"""Who read the films: ``model``, ``truth``, ``senior`` or ``junior``."""


@dataclass(frozen=True)
class LandmarkAgreement:
    """Agreement of one landmark's coordinates in mm, along the rows (x) and the columns (y) of the film."""

    symbol: str
    x: Agreement
    y: Agreement


@dataclass(frozen=True)
class MeasurementAgreement:
    """Agreement of one measurement: the model with the truth, and one annotator with the other (None without two)."""

    definition: Definition
    model: Agreement
    doctors: Agreement | None


@dataclass(frozen=True)
class Compared:
    """The eight classes of the challenge: the model's with those of the truth, and one annotator's with the other's."""

    model: tuple[ClassAgreement, ...]
    doctors: tuple[ClassAgreement, ...] | None


def measurements_of_the_19() -> tuple[Definition, ...]:
    """Return the measurements that the 19 landmarks allow."""
    return tuple(each for each in DEFINITIONS if set(each.landmarks) <= set(SYMBOLS))


class Study:
    """The readings of the films of an evaluation.

    Args:
        evaluation: with its films and detections.
        annotated: the same films with the mean of both annotators and their spread, if the evaluation's truth is the
            annotation of one of them.

    Attributes:
        points: (films, 19, 2) landmarks of every reader, (x, y) in pixels; NaN where missing.
        spacing: (films,) mm per pixel.

    Raises:
        CephError: if the evaluation did not keep its films.
    """

    def __init__(self, evaluation: Evaluation, annotated: Sequence[Film] | None = None) -> None:
        films = evaluation.films
        if not films or len(films) != len(evaluation.detections):
            raise CephError("the evaluation has no films, so their readings are not known")
        self.evaluation = evaluation
        self.points: dict[Reader, np.ndarray] = {
            "model": np.stack([detection.points() for detection in evaluation.detections]),
            "truth": np.stack([film.landmarks[:, ::-1] for film in films]),
        }
        pairs = [film.annotators() for film in annotated or films]
        if len(pairs) == len(films) and any(pairs):
            nobody = np.full_like(films[0].landmarks, np.nan)
            for index, reader in enumerate(("senior", "junior")):
                self.points[reader] = np.stack([(pair[index] if pair else nobody)[:, ::-1] for pair in pairs])
        self.spacing = np.array([film.pixel_spacing for film in films])

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Who read the films."""
        return tuple(self.points)

    @property
    def two_annotators(self) -> bool:
        """Whether two annotators marked the films."""
        return "junior" in self.points

    @cached_property
    def doctor_errors(self) -> torch.Tensor | None:
        """Distance of one annotator's landmarks from the other's, (films, 19) in mm; None without two annotators.

        NaN where the senior one has none, infinite where only the junior one has none.
        """
        if not self.two_annotators:
            return None
        junior, senior = (torch.from_numpy(self._in_mm(reader)) for reader in ("junior", "senior"))
        return radial_errors(junior, senior)

    def _in_mm(self, reader: Reader) -> np.ndarray:
        return self.points[reader] * self.spacing[:, None, None]

    def landmark_agreement(self, reader: Reader = "model", reference: Reader = "truth") -> list[LandmarkAgreement]:
        """Return the agreement of the coordinates of each landmark."""
        one, other = self._in_mm(reader), self._in_mm(reference)
        return [
            LandmarkAgreement(symbol, *(agreement(one[:, index, axis], other[:, index, axis]) for axis in (0, 1)))
            for index, symbol in enumerate(SYMBOLS)
        ]

    @cached_property
    def measurements(self) -> Mapping[Reader, Mapping[str, np.ndarray]]:
        """Every measurement that the 19 landmarks allow: (films,) by its symbol, by the reader; NaN if not possible.

        All readings of a film are turned and mirrored as its detection says.
        """
        turned = np.array([QUARTER_TURNS[each.turned] for each in self.evaluation.detections])
        mirrored = np.array([each.mirrored for each in self.evaluation.detections])
        result = {}
        for reader in self.readers:
            place = self._in_mm(reader)
            upright = (place[..., 0] + 1j * place[..., 1]) * turned[:, None]
            upright = np.where(mirrored[:, None], -upright.conj(), upright)
            face = Face({symbol: upright[:, index] for index, symbol in enumerate(SYMBOLS)})
            with np.errstate(invalid="ignore", divide="ignore"):
                result[reader] = {each.symbol: np.asarray(each.formula(face)) for each in measurements_of_the_19()}
        return result

    def measurement_agreement(self) -> list[MeasurementAgreement]:
        """Return the agreement of each measurement, in the order in which they are reported."""
        found = self.measurements
        return [
            MeasurementAgreement(
                each,
                agreement(found["model"][each.symbol], found["truth"][each.symbol]),
                agreement(found["junior"][each.symbol], found["senior"][each.symbol]) if self.two_annotators else None,
            )
            for each in measurements_of_the_19()
        ]

    def classes(self, exact: bool) -> dict[Reader, np.ndarray]:
        """Return the eight classes of every film, (films, 8), of every reader.

        Args:
            exact: by the rules of the challenge's code (:mod:`monai_ceph.analysis.challenge`), otherwise corrected.
        """
        if exact:
            return {reader: challenge_classes(points) for reader, points in self.points.items()}
        names = [measurement_of(measure) for measure in MEASURES]
        return {
            reader: corrected_classes(np.stack([values[name] for name in names], axis=1))
            for reader, values in self.measurements.items()
        }

    def class_agreement(self, exact: bool) -> Compared:
        """Return how the eight classes agree; ``exact`` as in :meth:`classes`."""
        found = self.classes(exact)
        doctors = class_agreement(found["junior"], found["senior"], exact) if self.two_annotators else None
        return Compared(class_agreement(found["model"], found["truth"], exact), doctors)
