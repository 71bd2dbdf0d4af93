"""What all styles of machines have in common: an array form and a dictionary form around one draw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.transforms.geometry import affine_of, executed, grid_of, pixels_of, with_affine
from monai_ceph.transforms.styles.view import View, view_of

__all__ = ["SPACING", "Change", "RandStyle", "RandStyled", "changed", "spacing_of"]

Change = Callable[[np.ndarray], np.ndarray]
"""From (row, column) pixels, float32 in 0..1, to pixels of the same shape; it may write into its argument."""

SPACING = 0.1
"""mm per pixel of the source where nothing else is known, as in the ISBI 2015 films."""


def changed(image: NdarrayOrTensor, change: Change | None) -> MetaTensor:
    """Return a (channel, row, column) film after a change, in 0..1; as it was if there is none."""
    image = executed(image)
    pixels = pixels_of(image)
    if change is not None:
        layers = [change(np.array(layer, dtype=np.float32, order="C")) for layer in pixels.cpu().numpy()]
        pixels = torch.from_numpy(np.stack(layers).clip(0, 1)).to(pixels)
    return with_affine(pixels, image, affine_of(image))


def spacing_of(data: Mapping[Hashable, object], key: str | None) -> float:
    """Return mm per pixel of the source; :data:`SPACING` if the data have none."""
    value = data.get(key) if key is not None else None
    spacing = float("nan") if value is None else float(value)  # type: ignore[arg-type]
    return spacing if 0 < spacing < float("inf") else SPACING


class RandStyle(RandomizableTransform):
    """Base of the styles: change a film as another machine would.

    Films must have been scaled to 0..1 (:class:`~monai_ceph.transforms.ScaleFilmIntensity`), bones bright. Landmarks
    and geometry stay as they are. What is drawn has its real size in millimetres at any scale of the grid, and its
    usual place at the head, which the landmarks give.

    Args:
        prob: probability of a change.
        symbols: the landmarks' symbols, in order.

    It has no inverse.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012
    name: ClassVar[str]
    weight: ClassVar[float] = 1.0
    """How often :class:`~monai_ceph.transforms.styles.RandMachineStyle` takes it, compared with others."""

    def __init__(self, prob: float = 1.0, symbols: Sequence[str] = SYMBOLS) -> None:
        RandomizableTransform.__init__(self, prob)
        self.symbols = tuple(symbols)
        self.change: Change | None = None

    @staticmethod
    def reaches(view: View) -> bool:
        """Whether what the style draws lies on the grid or near it."""
        return True

    @staticmethod
    @abstractmethod
    def draw(view: View, R: np.random.RandomState) -> Change:
        """Draw a change for this view."""

    def randomize(self, data: View) -> None:
        """Draw what happens to a film."""
        super().randomize(None)
        self.change = self.draw(data, self.R) if self._do_transform and self.reaches(data) else None

    def apply(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return the (channel, row, column) film with the current draw."""
        return changed(image, self.change)

    def __call__(self, image: NdarrayOrTensor, landmarks: torch.Tensor, spacing: float = SPACING) -> MetaTensor:
        """Return the film (channel, row, column); ``landmarks`` (N, 2) and ``spacing``, mm, are those of the source."""
        affine, size = grid_of(image)
        self.randomize(view_of(size, affine, landmarks, self.symbols, spacing))
        return self.apply(image)


class RandStyled(RandomizableTransform, MapTransform):
    """Dictionary form of a :class:`RandStyle`, which a subclass names.

    Args:
        keys: the films; all get the same change and must share one grid.
        landmarks_key: (N, 2) landmarks in source coordinates; they stay as they are.
        prob: see :class:`RandStyle`.
        symbols: see :class:`RandStyle`.
        spacing_key: mm per pixel of the source; 0.1 if there is no such key or the value is not known.
    """

    backend = RandStyle.backend
    style_class: ClassVar[type[RandStyle]]

    def __init__(
        self,
        keys: KeysCollection,
        landmarks_key: str,
        prob: float = 1.0,
        symbols: Sequence[str] = SYMBOLS,
        spacing_key: str | None = "pixel_spacing",
        allow_missing_keys: bool = False,
        **options: object,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.landmarks_key, self.spacing_key = landmarks_key, spacing_key
        self.style = self.style_class(prob=prob, symbols=symbols, **options)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandStyled:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.style.set_random_state(seed, state)
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
        self.style.randomize(view_of(size, affine, result[self.landmarks_key], self.style.symbols, spacing))
        for key in self.key_iterator(result):
            result[key] = self.style.apply(result[key])
        return result
