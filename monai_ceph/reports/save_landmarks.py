"""The last step of an inference bundle: write one table per film."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_ceph.analysis.scale import scale_problem
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.reports.tables import write_landmarks
from monai_ceph.result import detected_landmark, longest_sure_radius
from monai_ceph.storage.written_files import WrittenFiles

__all__ = ["SaveLandmarksd"]

logger = logging.getLogger(__name__)


class SaveLandmarksd(MapTransform):
    """Write the landmarks of a film as ``<file name>.landmarks.csv``, with the columns of ``monai-ceph detect``.

    Films with the same name in different folders get a number: ``<file name>.2.landmarks.csv``. Millimetres are written
    if :class:`~monai_ceph.readers.monai_reader.RadiographReader` found a scale and it fits the head
    (:func:`~monai_ceph.analysis.scale.scale_problem`); otherwise the log says why not. Tables of earlier runs are
    replaced unless somebody changed them: :class:`~monai_ceph.storage.written_files.WrittenFiles`.

    Args:
        keys: landmarks, (N, 2), (row, column) in pixels of the source image.
        score_key: (N,) highest probability of each landmark.
        ref_key: a film or its heatmaps, whose metadata hold the scale.
        file_key: path of the film, for the table and its name.
        output_dir: folder of the tables; created if needed.
        symbols: symbols of the landmarks, in the order of the channels.
        uncertain_below: a landmark with a lower score is ``uncertain``, if the metadata have no radii.
        uncertain_radius_mm: a landmark whose radius for 90 % is longer is ``uncertain``. The radii are in the metadata
            of ``ref_key``: :class:`~monai_ceph.inferers.attention_guided.AttentionGuidedInferer`.

    Raises:
        ValueError: if the numbers of landmarks and symbols differ.
        CephError: if a table exists that must not be replaced.
    """

    def __init__(
        self,
        keys: KeysCollection,
        score_key: str,
        ref_key: str,
        file_key: str,
        output_dir: str,
        symbols: Sequence[str] = SYMBOLS,
        uncertain_below: float = 0.0,
        allow_missing_keys: bool = False,
        uncertain_radius_mm: float = math.inf,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.score_key, self.ref_key, self.file_key = score_key, ref_key, file_key
        self.symbols, self.uncertain_below = tuple(symbols), uncertain_below
        self.uncertain_radius_mm = uncertain_radius_mm
        self._files = WrittenFiles(Path(output_dir))
        self._tables: dict[str, str] = {}

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Write the table and pass the data on."""
        file, (spacing, source) = str(data[self.file_key]), _scale(data[self.ref_key])
        scores = torch.as_tensor(data[self.score_key]).tolist()
        for key in self.key_iterator(dict(data)):
            places = torch.as_tensor(data[key]).tolist()
            if not len(places) == len(scores) == len(self.symbols):
                raise ValueError(
                    f"{file}: {len(places)} landmarks with {len(scores)} scores, for {len(self.symbols)} symbols: the "
                    "config key landmarks must list the symbols that the networks were trained on"
                )
            wrong, why = scale_problem(np.array(places), spacing, self.symbols) if spacing else (False, None)
            if why:
                logger.warning("%s: %s%s", file, "the scale was ignored: " if wrong else "", why)
            if wrong:
                spacing, source = None, SpacingSource.IMPLAUSIBLE
            radii, limit = self._radii(data[self.ref_key], spacing)
            marks = [
                detected_landmark(
                    *(number, symbol, place, score, spacing, self.uncertain_below),
                    radii=None if radii is None else radii[number - 1],
                    uncertain_above=limit,
                )
                for number, (symbol, place, score) in enumerate(zip(self.symbols, places, scores, strict=True), start=1)
            ]
            with self._files.writing(self._table(file)) as part:
                write_landmarks(part, file, marks, spacing, source, _image_uid(data[self.ref_key]))
        return dict(data)

    def _radii(self, film: torch.Tensor, spacing: tuple[float, float] | None) -> tuple[list[list[float]] | None, float]:
        """Return the radii for 90 and 95 %, and the longest that is not uncertain, in pixels of the source."""
        meta = film.meta if isinstance(film, MetaTensor) else {}
        if "radii" not in meta:
            return None, math.inf
        middle = float(meta["middle_mm_per_pixel"])
        radii: list[list[float]] = torch.as_tensor(meta["radii"]).tolist()
        return radii, longest_sure_radius(self.uncertain_radius_mm, spacing, middle)

    def _table(self, file: str) -> str:
        if file not in self._tables:
            taken = {name.lower() for name in self._tables.values()}
            stem, count = Path(file).name, 1
            while (name := f"{stem}.landmarks.csv" if count == 1 else f"{stem}.{count}.landmarks.csv").lower() in taken:
                count += 1
            self._tables[file] = name
        return self._tables[file]


def _image_uid(film: torch.Tensor) -> str | None:
    return film.meta.get("image_uid") or None if isinstance(film, MetaTensor) else None


def _scale(film: torch.Tensor) -> tuple[tuple[float, float] | None, SpacingSource]:
    """Return the spacing (row, column) in mm, None if unknown, and its source."""
    meta = film.meta if isinstance(film, MetaTensor) else {}
    row, column = float(meta.get("row_spacing", math.nan)), float(meta.get("column_spacing", math.nan))
    source = SpacingSource(meta.get("spacing_source", SpacingSource.NONE))
    return (None if math.isnan(row) or math.isnan(column) else (row, column)), source
