"""Lines of a grid or of a scanning detector."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandGridLines", "RandGridLinesD", "RandGridLinesDict", "RandGridLinesd"]


class RandGridLines(RandStyle):
    """Draw the regular lines of an antiscatter grid, or the uneven stripes of a detector that scans the film.

    Grid lines are 0.4 to 4 mm apart (finer ones show as moiré). Lines finer than two pixels of the grid are not drawn.
    """

    name = "grid_lines"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        upright = R.uniform() < 0.6
        if R.uniform() < 0.6:
            period = log_between(R, max(0.4, 2.2 / mm), max(4, 4 / mm)) * mm
            angle = float(R.normal(0, 0.02))
            strength, phase = log_between(R, 0.01, 0.06), between(R, 0, 2 * math.pi)
            second = between(R, 0, 0.5)

            def lines(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
                place = (columns + angle * rows if upright else rows + angle * columns) * (2 * math.pi / period) + phase
                return strength * (np.sin(place) + second * np.sin(0.37 * place))
        else:
            length = view.size[1] if upright else view.size[0]
            # each line of a detector has its own sensitivity, and some drift together
            uneven = R.normal(size=length) * log_between(R, 0.005, 0.03)
            drift = np.repeat(R.normal(size=length // 8 + 1), 8)[:length] * log_between(R, 0.005, 0.03)
            stripes = (uneven + drift).astype(np.float32)

            def lines(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
                return stripes[None] if upright else stripes[:, None]

        def change(pixels: np.ndarray) -> np.ndarray:
            rows = np.arange(pixels.shape[0], dtype=np.float32)[:, None]
            columns = np.arange(pixels.shape[1], dtype=np.float32)[None]
            return pixels + lines(rows, columns).astype(np.float32)

        return change


class RandGridLinesd(RandStyled):
    """Dictionary form of :class:`RandGridLines`."""

    style_class = RandGridLines


RandGridLinesD = RandGridLinesDict = RandGridLinesd
