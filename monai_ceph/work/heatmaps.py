"""The heatmaps of a film as pictures. torch is imported only by the process that makes them."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS

if TYPE_CHECKING:
    from monai_ceph.detection import CephalogramDetector
    from monai_ceph.readers import Radiograph

__all__ = ["FilmHeatmaps", "Heatmap", "film_heatmaps", "make_heatmaps"]


@dataclass(frozen=True)
class Heatmap:
    """The heatmap of one landmark, in the window where the local stage looked for it.

    Attributes:
        png: 8-bit grey; 255 is the maximum. Rows and columns are those of the film.
        x: left edge of the picture in source pixels, pixel centres at integers.
        y: its upper edge.
        width: in source pixels.
        height: in source pixels.
        maximum: the largest value, 0 to 1; 0 where the model saw nothing.
    """

    png: bytes
    x: float
    y: float
    width: float
    height: float
    maximum: float


@dataclass(frozen=True)
class FilmHeatmaps:
    """The heatmaps of one film.

    Attributes:
        by_symbol: a heatmap per landmark; empty if there are none.
        weights_sha256: of the model that made them.
        fault: why there are none.
        lasting: no other film has any either, such as without weights.
    """

    by_symbol: dict[str, Heatmap]
    weights_sha256: str
    fault: str | None = None
    lasting: bool = False


def film_heatmaps(detector: CephalogramDetector, radiograph: Radiograph) -> dict[str, Heatmap]:
    """Return the heatmap of each landmark, turned and mirrored as the film is.

    Args:
        detector: its networks detect on the film.
        radiograph: the film.

    Raises:
        CephError: the film is too small.
    """
    import torch

    from monai_ceph.inferers.plausibility import check_film
    from monai_ceph.transforms.geometry import affine_of, apply, resample_each

    check_film(radiograph)
    found = detector.stages(radiograph)
    assert found.windows is not None
    rows, columns = radiograph.pixels.shape
    to_source = affine_of(found.film)
    # source pixels per pixel of the heatmap
    step = float(torch.linalg.det(to_source[:2, :2]).abs().sqrt())
    side = found.windows.heatmaps.shape[-1]
    ends = torch.tensor([[-0.5, -0.5], [-0.5, side - 0.5], [side - 0.5, -0.5], [side - 0.5, side - 0.5]]).double()
    result = {}
    for symbol, heatmap, start in zip(SYMBOLS, found.windows.heatmaps.cpu(), found.windows.starts, strict=True):
        corners = apply(to_source, ends + start.double())
        (top, left), (bottom, right) = corners.amin(dim=0).tolist(), corners.amax(dim=0).tolist()
        top, left = max(top, -0.5), max(left, -0.5)
        bottom, right = min(bottom, rows - 0.5), min(right, columns - 0.5)
        size = max(1, math.ceil((bottom - top) / step)), max(1, math.ceil((right - left) / step))
        # a pixel of the picture, (row, column), to the source, and from there to the window
        placed = torch.tensor([[step, 0, top + step / 2], [0, step, left + step / 2], [0, 0, 1]], dtype=torch.float64)
        matrix = torch.linalg.inv(to_source) @ placed
        matrix[:2, 2] -= start.double()
        values = resample_each(heatmap[None].float(), matrix[None], size)[0].clamp(min=0).numpy()
        maximum = float(heatmap.max())
        shown = values / maximum if maximum > 0 else np.zeros_like(values)
        picture = io.BytesIO()
        Image.fromarray(np.clip(np.rint(255 * shown), 0, 255).astype(np.uint8)).save(picture, format="PNG")
        result[symbol] = Heatmap(picture.getvalue(), left, top, size[1] * step, size[0] * step, maximum)
    return result


_detector: CephalogramDetector | None = None


def make_heatmaps(path: Path, frame: int | None, device: str | None, overlays: tuple[Path, ...]) -> FilmHeatmaps:
    """Return the heatmaps of a film, or why there are none. For a process of its own: it keeps the detector.

    Args:
        path: of the film.
        frame: its number in a file with several.
        device: torch device, None for the best one.
        overlays: bundle configs that change single keys.
    """
    global _detector
    from monai_ceph.readers import read_radiograph
    from monai_ceph.work.start_up import import_monai_alone

    try:
        if _detector is None:
            import_monai_alone(overlays)
            from monai_ceph.detection import CephalogramDetector

            _detector = CephalogramDetector(device, overlays)
    except Exception as error:  # torch and MONAI document few of their exceptions
        return FilmHeatmaps({}, "", f"detection is not possible here: {error or type(error).__name__}", lasting=True)
    weights = _detector.identity.weights_sha256
    try:
        return FilmHeatmaps(film_heatmaps(_detector, read_radiograph(path, frame=frame)), weights)
    except CephError as error:
        return FilmHeatmaps({}, weights, str(error))
    except Exception as error:  # such as a film that is too large for the memory
        return FilmHeatmaps({}, weights, f"detection failed on this film: {type(error).__name__}: {error}")
