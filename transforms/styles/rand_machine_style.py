"""Several styles on one film."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.transforms.geometry import grid_of
from monai_ceph.transforms.styles.rand_chin_rest import RandChinRest
from monai_ceph.transforms.styles.rand_collimator import RandCollimator
from monai_ceph.transforms.styles.rand_dental_work import RandDentalWork
from monai_ceph.transforms.styles.rand_detector import RandDetector
from monai_ceph.transforms.styles.rand_ear_rods import RandEarRods
from monai_ceph.transforms.styles.rand_edge_enhancement import RandEdgeEnhancement
from monai_ceph.transforms.styles.rand_faded_rods import RandFadedRods
from monai_ceph.transforms.styles.rand_film_scan import RandFilmScan
from monai_ceph.transforms.styles.rand_grid_lines import RandGridLines
from monai_ceph.transforms.styles.rand_head_holder import RandHeadHolder
from monai_ceph.transforms.styles.rand_local_contrast import RandLocalContrast
from monai_ceph.transforms.styles.rand_nasion_rest import RandNasionRest
from monai_ceph.transforms.styles.rand_pixels import RandPixels
from monai_ceph.transforms.styles.rand_quantum_noise import RandQuantumNoise
from monai_ceph.transforms.styles.rand_ruler import RandRuler
from monai_ceph.transforms.styles.rand_scatter import RandScatter
from monai_ceph.transforms.styles.rand_scratches import RandScratches
from monai_ceph.transforms.styles.rand_tracing import RandTracing
from monai_ceph.transforms.styles.rand_wedge import RandWedge
from monai_ceph.transforms.styles.rand_writing import RandWriting
from monai_ceph.transforms.styles.style import SPACING, Change, RandStyle, changed, spacing_of
from monai_ceph.transforms.styles.view import View, view_of

__all__ = [
    "PART_STYLES",
    "PROCESSING_STYLES",
    "STYLES",
    "RandMachineStyle",
    "RandMachineStyleD",
    "RandMachineStyleDict",
    "RandMachineStyled",
]

_IN_ORDER: tuple[type[RandStyle], ...] = (
    # what the film had before
    RandFadedRods,
    # what lies in the beam
    RandDentalWork,
    RandHeadHolder,
    RandEarRods,
    RandNasionRest,
    RandChinRest,
    RandRuler,
    RandWedge,
    RandCollimator,
    # the detector and its computer
    RandScatter,
    RandGridLines,
    RandDetector,
    RandQuantumNoise,
    RandEdgeEnhancement,
    RandLocalContrast,
    # the film on paper
    RandTracing,
    RandWriting,
    RandScratches,
    RandFilmScan,
    RandPixels,
)
STYLES: dict[str, type[RandStyle]] = {style.name: style for style in _IN_ORDER}
"""All styles by their names, in the order in which they arise."""
_FIRST_OF_PROCESSING = list(STYLES).index("scatter")
PART_STYLES = tuple(STYLES)[:_FIRST_OF_PROCESSING]
"""What lies in the beam: before film curves are drawn."""
PROCESSING_STYLES = tuple(STYLES)[_FIRST_OF_PROCESSING:]
"""What the detector, its computer, people and scanners do: after film curves."""


class RandMachineStyle(RandomizableTransform):
    """Change a film as another machine would: some styles, drawn at random.

    Only styles whose objects lie on the grid or near it take part. Those chosen are applied in the order in which they
    arise on real films. Landmarks and geometry stay as they are, and grey values in 0..1.

    Args:
        prob: probability of any change.
        max_count: most styles of a film; all counts from 1 are equally likely.
        styles: names from :data:`STYLES`; None: all.
        exclude: names that are left out, to measure what happens under styles that training did not draw. Names that
            are not in ``styles`` are allowed. If none is left, nothing changes.
        symbols: the landmarks' symbols, in order.

    It has no inverse.

    Raises:
        ValueError: if a style does not exist, or ``max_count`` is below 1.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(
        self,
        prob: float,
        max_count: int = 3,
        styles: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        symbols: Sequence[str] = SYMBOLS,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        wanted = tuple(STYLES) if styles is None else tuple(styles)
        unknown = sorted({*wanted, *exclude} - set(STYLES))
        if unknown:
            raise ValueError(f"no such style: {', '.join(unknown)}. There are {', '.join(STYLES)}")
        if max_count < 1:
            raise ValueError(f"max_count must be positive, got {max_count}")
        self.styles = [style for name, style in STYLES.items() if name in wanted and name not in exclude]
        self.max_count, self.symbols = max_count, tuple(symbols)
        self.chosen: list[str] = []
        self.changes: list[Change] = []

    def randomize(self, data: View) -> None:
        """Draw styles, and what each does."""
        super().randomize(None)
        self.chosen, self.changes = [], []
        if not self._do_transform:
            return
        possible = [style for style in self.styles if style.reaches(data)]
        if not possible:
            return
        weights = np.array([style.weight for style in possible])
        count = min(self.R.randint(self.max_count) + 1, len(possible))
        chosen = self.R.choice(len(possible), size=count, replace=False, p=weights / weights.sum())
        for index in sorted(chosen):
            self.chosen.append(possible[index].name)
            self.changes.append(possible[index].draw(data, self.R))

    def apply(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return the (channel, row, column) film with the current draws."""
        return changed(image, self._all if self.changes else None)

    def _all(self, pixels: np.ndarray) -> np.ndarray:
        for change in self.changes:
            pixels = change(pixels).clip(0, 1).astype(np.float32, copy=False)
        return pixels

    def __call__(self, image: NdarrayOrTensor, landmarks: torch.Tensor, spacing: float = SPACING) -> MetaTensor:
        """Return the film (channel, row, column); ``landmarks`` (N, 2) and ``spacing``, mm, are those of the source."""
        affine, size = grid_of(image)
        self.randomize(view_of(size, affine, landmarks, self.symbols, spacing))
        return self.apply(image)


class RandMachineStyled(RandomizableTransform, MapTransform):
    """Dictionary form of :class:`RandMachineStyle`.

    Args:
        keys: the films; all get the same styles and must share one grid.
        landmarks_key: (N, 2) landmarks in source coordinates; they stay as they are.
        prob: see :class:`RandMachineStyle`.
        max_count: see :class:`RandMachineStyle`.
        styles: see :class:`RandMachineStyle`.
        exclude: see :class:`RandMachineStyle`.
        symbols: see :class:`RandMachineStyle`.
        spacing_key: mm per pixel of the source; 0.1 if there is no such key or the value is not known.
    """

    backend = RandMachineStyle.backend

    def __init__(
        self,
        keys: KeysCollection,
        landmarks_key: str,
        prob: float,
        max_count: int = 3,
        styles: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        symbols: Sequence[str] = SYMBOLS,
        spacing_key: str | None = "pixel_spacing",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.landmarks_key, self.spacing_key = landmarks_key, spacing_key
        self.machine = RandMachineStyle(prob, max_count, styles, exclude, symbols)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandMachineStyled:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.machine.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Change the film of every key."""
        result = dict(data)
        first = self.first_key(result)
        # MONAI returns () if none of the keys exists
        if first == ():
            return result
        affine, size = grid_of(result[first])
        spacing = spacing_of(result, self.spacing_key)
        self.machine.randomize(view_of(size, affine, result[self.landmarks_key], self.machine.symbols, spacing))
        for key in self.key_iterator(result):
            result[key] = self.machine.apply(result[key])
        return result


RandMachineStyleD = RandMachineStyleDict = RandMachineStyled
