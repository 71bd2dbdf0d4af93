"""Letters, numbers and labels on the film."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.lettering import lettered, write
from monai_ceph.transforms.styles.marks import Box, Mark, paint, seen_through
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandWriting", "RandWritingD", "RandWritingDict", "RandWritingd"]

_LETTERS = tuple("ABCDEFGHIKLMNOPRSTUVWXYZabdeghnr0123456789")


class RandWriting(RandStyle):
    """Write side markers, dates, numbers and names anywhere, 2 to 15 mm high, bright or dark, some on a label.

    A label does not hide a landmark: over one it is translucent.
    """

    name = "writing"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        texts, labels = [], []
        for _ in range(R.randint(1, 4)):
            words = _words(R)
            height = (between(R, 5, 15) if len(words) < 3 else log_between(R, 2, 8)) * mm
            degrees = float(R.choice([0, 90, 180, R.normal(0, 10)], p=[0.5, 0.1, 0.1, 0.3]))
            ink = lettered(words, height, degrees)
            centre = np.array([between(R, 0, side) for side in view.size])
            if ink is None:
                continue
            level = 1.0 if R.uniform() < 0.7 else 0.0
            label = Mark(Box(centre, (ink.shape[0] / 2 + mm, ink.shape[1] / 2 + mm), np.array([1.0, 0.0])), 0.9)
            (label,) = seen_through([label], view, R)
            strength = between(R, 0.4, 1)
            if label.opacity < 0.9:
                strength = min(strength, 0.5)
            if R.uniform() < 0.25:
                labels.append(Mark(label.shape, label.opacity, 1 - level))
            texts.append((ink, centre, strength, level))

        def change(pixels: np.ndarray) -> np.ndarray:
            paint(pixels, labels)
            for text in texts:
                write(pixels, *text)
            return pixels

        return change


def _words(R: np.random.RandomState) -> str:
    kind = R.choice(["side", "date", "number", "name", "dose"])
    if kind == "side":
        return str(R.choice(["R", "L", "D", "S", "RE", "LI", "Rt", "Lt"]))
    if kind == "date":
        return f"{R.randint(1, 29):02d}.{R.randint(1, 13):02d}.{R.randint(1970, 2030)}"
    if kind == "number":
        return str(R.randint(10 ** R.randint(2, 8)))
    if kind == "dose":
        return f"{R.randint(60, 95)} kV {R.randint(3, 16)} mA {between(R, 0.2, 18):.1f} s"
    return "".join(R.choice(_LETTERS, size=R.randint(3, 12)))


class RandWritingd(RandStyled):
    """Dictionary form of :class:`RandWriting`."""

    style_class = RandWriting


RandWritingD = RandWritingDict = RandWritingd
