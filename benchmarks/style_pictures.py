"""Pictures of each style of another machine, on a synthetic film, for docs/reference/styles.md.

``python benchmarks/style_pictures.py`` writes docs/images/styles/NAME.jpg, two draws beside each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_ceph.datasets.phantom.drawing import Phantom, draw_phantom
from monai_ceph.landmarks import index_of
from monai_ceph.transforms.styles import STYLES

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "styles"
ROWS, COLUMNS = 230, 190
# a landmark in the middle of the picture, and its height in mm; the other pictures show the whole film
CLOSE = {
    "faded_rods": ("Po", 70),
    "ear_rods": ("Po", 70),
    "dental_work": ("UI", 90),
    "nasion_rest": ("N", 110),
    "chin_rest": ("Pog", 120),
    "grid_lines": ("PNS", 80),
    "detector": ("PNS", 60),
    "quantum_noise": ("PNS", 80),
    "pixels": ("PNS", 50),
}


def picture(name: str, phantom: Phantom, seed: int) -> Image.Image:
    pixels = phantom.pixels.astype(np.float32)
    pixels = (pixels - pixels.min()) / np.ptp(pixels)
    grid = MetaTensor(torch.from_numpy(pixels)[None], affine=torch.eye(3))
    style = STYLES[name]().set_random_state(seed)
    changed = style(grid, torch.from_numpy(phantom.landmarks), phantom.pixel_spacing).numpy()[0]
    image = Image.fromarray(np.round(255 * changed).astype(np.uint8))
    if name in CLOSE:
        symbol, height = CLOSE[name]
        row, column = phantom.landmarks[index_of(symbol)]
        down = height / phantom.pixel_spacing / 2
        right = down * COLUMNS / ROWS
        image = image.crop(
            tuple(round(float(value)) for value in (column - right, row - down, column + right, row + down))
        )
    return image.resize((COLUMNS, ROWS), Image.Resampling.LANCZOS)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    phantom = draw_phantom(3, height=1500, width=1210)
    for name in STYLES:
        both = Image.new("L", (2 * COLUMNS + 4, ROWS), 255)
        for number in range(2):
            both.paste(picture(name, phantom, 2 * list(STYLES).index(name) + number), (number * (COLUMNS + 4), 0))
        both.save(FOLDER / f"{name}.jpg", quality=70, optimize=True)


if __name__ == "__main__":
    main()
