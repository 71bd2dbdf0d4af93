"""Small samples that several tests share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from monai_ceph.datasets import folder
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import Radiograph
from monai_ceph.result import Detection

# size of the phantoms that tests share: the grid of the local stage, so that no pixel is drawn in vain
HEIGHT, WIDTH = 1200, 968


def changed(detection: Detection, index: int, **values: object) -> Detection:
    """Return the detection with one landmark changed."""
    marks = list(detection.landmarks)
    marks[index] = marks[index].model_copy(update=values)
    return detection.model_copy(update={"landmarks": tuple(marks)})


def save_grey(path: Path, pixels: np.ndarray) -> Path:
    """Write an 8-bit image."""
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def radiograph(rows: int, columns: int, name: str = "film.png") -> Radiograph:
    """Return a film of noise."""
    return Radiograph(np.random.default_rng(0).random((rows, columns), dtype=np.float32), Path(name))


def noise(rows: int, columns: int) -> np.ndarray:
    """Return 8-bit noise."""
    return np.random.default_rng(1).integers(0, 256, (rows, columns)).astype(np.uint8)


def row_column(detection: Detection) -> np.ndarray:
    """Return the landmarks, (19, 2), as (row, column), the order of annotations in arrays."""
    return detection.points()[:, ::-1].copy()


def as_aariz(phantoms: Path, root: Path, split: str = "test", whole: bool = False) -> Path:
    """Put a folder of phantoms into the layout of Aariz, and return it. The junior's points are 30 pixels to the right.

    Args:
        phantoms: the folder.
        root: folder to make.
        split: the one that they become.
        whole: all 29 landmarks; those that phantoms do not have are 5 pixels below some that they have.
    """
    theirs = {"UI": "UIT", "LI": "LIT", "UL": "Ls", "LL": "Li", "Pog'": "Pog`"}
    more = ("UIA", "LIA", "Co", "Pn", "N`", "UMT", "LMT", "UPM", "LPM", "R") if whole else ()
    marks = root / split / "Annotations" / "Cephalometric Landmarks"
    (root / split / "Cephalograms").mkdir(parents=True)
    sizes = ["cephalogram_id,pixel_size"]
    for film in folder(phantoms):
        name = Path(film.name).stem
        (root / split / "Cephalograms" / film.name).write_bytes(film.image.read_bytes())
        sizes.append(f"{name},{film.pixel_spacing}")
        places = film.landmarks.tolist()
        known = [(theirs.get(symbol, symbol), y, x) for symbol, (y, x) in zip(SYMBOLS, places, strict=True)]
        known += [(symbol, y + 5, x) for symbol, (y, x) in zip(more, places, strict=False)]
        for doctor, offset in (("Senior Orthodontists", 0), ("Junior Orthodontists", 30)):
            (marks / doctor).mkdir(parents=True, exist_ok=True)
            points = [{"symbol": symbol, "value": {"x": x + offset, "y": y}} for symbol, y, x in known]
            (marks / doctor / f"{name}.json").write_text(json.dumps({"landmarks": points}))
    (root / "cephalogram_machine_mappings.csv").write_text("\n".join(sizes) + "\n")
    return root
