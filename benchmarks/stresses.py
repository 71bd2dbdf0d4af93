"""Changes films so that they look like films of other devices; used by stress.py."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import GaussianSmooth
from PIL import Image, ImageDraw, ImageFont

from monai_ceph.transforms.geometry import apply, resample
from monai_ceph.transforms.styles import STYLES, RandMachineStyle, RandStyle

__all__ = ["STRESSES", "Sample"]


@dataclass(frozen=True)
class Sample:
    """A film and its landmarks.

    Attributes:
        pixels: (row, column), float32, 0..1.
        landmarks: (N, 2), (row, column) in pixels of this image; NaN where they are not visible.
        to_source: 3x3, from (row, column) of this image to those of the untouched film.
    """

    pixels: np.ndarray
    landmarks: np.ndarray
    to_source: torch.Tensor


Stress = Callable[[Sample, np.random.Generator], Sample]


def _on_grid(sample: Sample, to_old: torch.Tensor, size: tuple[int, int]) -> Sample:
    film = resample(torch.from_numpy(sample.pixels)[None], to_old, size, antialias=True)
    marks = apply(torch.linalg.inv(to_old), torch.from_numpy(sample.landmarks)).numpy()
    inside = ((marks >= 0) & (marks <= np.array(size) - 1)).all(axis=1)
    pixels = film.as_subclass(torch.Tensor)[0].numpy()
    return Sample(pixels, np.where(inside[:, None], marks, np.nan), sample.to_source @ to_old)


def _matrix(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor([*rows, [0, 0, 1]], dtype=torch.float64)


def size(factor: float) -> Stress:
    """Resample the film to more or fewer pixels."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        rows, columns = (round(length * factor) for length in sample.pixels.shape)
        start = 0.5 / factor - 0.5
        return _on_grid(sample, _matrix([[1 / factor, 0, start], [0, 1 / factor, start]]), (rows, columns))

    return change


def tilt(degrees: float) -> Stress:
    """Tilt the head about the film's centre; the corners become black."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        rows, columns = sample.pixels.shape
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        centre = np.array([(rows - 1) / 2, (columns - 1) / 2])
        shift = centre - np.array([[cosine, -sine], [sine, cosine]]) @ centre
        return _on_grid(sample, _matrix([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]), (rows, columns))

    return change


def mirrored(sample: Sample, rng: np.random.Generator) -> Sample:
    columns = sample.pixels.shape[1]
    return _on_grid(sample, _matrix([[1, 0, 0], [0, -1, columns - 1]]), sample.pixels.shape)


def turned(quarters: int) -> Stress:
    """Rotate by counterclockwise quarter turns."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        for _ in range(quarters):
            rows, columns = sample.pixels.shape
            sample = _on_grid(sample, _matrix([[0, 1, 0], [-1, 0, columns - 1]]), (columns, rows))
        return sample

    return change


def _crop(sample: Sample, top: float, left: float, bottom: float, right: float) -> Sample:
    rows, columns = sample.pixels.shape
    top, left = max(round(top), 0), max(round(left), 0)
    bottom, right = min(round(bottom), rows), min(round(right), columns)
    return _on_grid(sample, _matrix([[1, 0, top], [0, 1, left]]), (bottom - top, right - left))


def vault_cut(sample: Sample, rng: np.random.Generator) -> Sample:
    """Cut 15 mm above the higher one of Sella and Nasion."""
    return _crop(sample, sample.landmarks[:2, 0].min() - 150, 0, 1e9, 1e9)


def neck_cut(sample: Sample, rng: np.random.Generator) -> Sample:
    """Cut 5 mm below the lowest landmark."""
    return _crop(sample, 0, 0, sample.landmarks[:, 0].max() + 50, 1e9)


def face_only(sample: Sample, rng: np.random.Generator) -> Sample:
    """Cut 10 mm around all landmarks."""
    low, high = sample.landmarks.min(axis=0) - 100, sample.landmarks.max(axis=0) + 100
    return _crop(sample, low[0], low[1], high[0], high[1])


def border(value: float) -> Stress:
    """A collimator border that adds 30 % of the film's sides, one side wider than the other."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        rows, columns = sample.pixels.shape
        top, left = round(0.1 * rows), round(0.2 * columns)
        new = (rows + round(0.3 * rows), columns + round(0.3 * columns))
        wide = _on_grid(sample, _matrix([[1, 0, -top], [0, 1, -left]]), new)
        pixels = np.full_like(wide.pixels, value)
        pixels[top : top + rows, left : left + columns] = sample.pixels
        return replace(wide, pixels=pixels)

    return change


def tone(curve: Callable[[np.ndarray], np.ndarray]) -> Stress:
    """Another film curve."""
    return lambda sample, rng: replace(sample, pixels=curve(sample.pixels).astype(np.float32))


def _film_curve(pixels: np.ndarray) -> np.ndarray:
    steep = 1 / (1 + np.exp(-9 * (pixels - 0.45)))
    return (steep - steep.min()) / (np.ptp(steep) or 1)


def blur(sample: Sample, rng: np.random.Generator) -> Sample:
    smooth = GaussianSmooth(sigma=4)(torch.from_numpy(sample.pixels)[None])
    return replace(sample, pixels=np.asarray(smooth[0], dtype=np.float32))


def noise(sample: Sample, rng: np.random.Generator) -> Sample:
    return replace(sample, pixels=(sample.pixels + rng.normal(0, 0.08, sample.pixels.shape)).astype(np.float32))


def sixteen_bit(sample: Sample, rng: np.random.Generator) -> Sample:
    """Stored values that begin at 3000, a dead and a hot pixel."""
    pixels = np.round(3000 + 50000 * sample.pixels).astype(np.float32)
    pixels[5, 5], pixels[7, 9] = 0, 65535
    return replace(sample, pixels=pixels)


def jpeg(sample: Sample, rng: np.random.Generator) -> Sample:
    file = io.BytesIO()
    Image.fromarray(np.round(255 * sample.pixels.clip(0, 1)).astype(np.uint8)).save(file, "JPEG", quality=10)
    return replace(sample, pixels=np.asarray(Image.open(file), dtype=np.float32) / 255)


def overlay(sample: Sample, rng: np.random.Generator) -> Sample:
    """A ruler in front of the forehead, a side marker and burned-in digits, all white."""
    rows, columns = sample.pixels.shape
    image = Image.fromarray(np.round(255 * sample.pixels.clip(0, 1)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    column = min(sample.landmarks[1, 1] + 220, columns - 60)
    top = sample.landmarks[1, 0] - 350
    draw.rectangle([column, top, column + 12, top + 450], fill=255)
    for tick in range(0, 451, 10):
        draw.rectangle([column - (40 if tick % 50 == 0 else 20), top + tick, column, top + tick + 2], fill=255)
    draw.text((0.06 * columns, 0.06 * rows), "R", fill=255, font=ImageFont.load_default(160))
    draw.text((0.05 * columns, 0.93 * rows), "ID 4711  2019-03-02  14:07", fill=255, font=ImageFont.load_default(60))
    draw.text((0.62 * columns, 0.02 * rows), "77 kV 12 mAs", fill=255, font=ImageFont.load_default(60))
    return replace(sample, pixels=np.asarray(image, dtype=np.float32) / 255)


def braces(sample: Sample, rng: np.random.Generator) -> Sample:
    """Bright blocks and a wire a little behind and above the edges of the incisors, and bright molars."""
    image = Image.fromarray(np.round(255 * sample.pixels.clip(0, 1)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    lower, upper = sample.landmarks[10], sample.landmarks[11]
    for tip, side in ((upper, -1), (lower, 1)):
        for number in range(5):
            row = tip[0] + side * (55 + rng.uniform(-6, 6))
            column = tip[1] - 20 - 62 * number + rng.uniform(-6, 6)
            draw.rectangle([column - 16, row - 14, column + 16, row + 14], fill=255)
        draw.line([tip[1] - 290, tip[0] + side * 55, tip[1] - 10, tip[0] + side * 55], fill=240, width=6)
    for number in range(2):
        column = upper[1] - 330 - 110 * number
        draw.rectangle([column - 45, upper[0] - 45, column + 45, upper[0] + 25], fill=250)
    return replace(sample, pixels=np.asarray(image, dtype=np.float32) / 255)


def styled(style: Callable[[], RandStyle | RandMachineStyle]) -> Stress:
    """Draw a style of another machine, as training does (docs/reference/styles.md)."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        film = MetaTensor(torch.from_numpy(sample.pixels)[None], affine=torch.eye(3))
        machine = style().set_random_state(int(rng.integers(2**31)))
        return replace(sample, pixels=machine(film, torch.from_numpy(sample.landmarks)).numpy()[0])

    return change


STRESSES: dict[str, Stress] = {
    "untouched": lambda sample, rng: sample,
    **{f"size x {factor:g}": size(factor) for factor in (0.6, 0.8, 1.25, 1.6)},
    **{f"tilt {degrees:+d}°": tilt(degrees) for degrees in (-20, -15, 15, 20)},
    "mirrored": mirrored,
    **{f"turned by {90 * quarters}°": turned(quarters) for quarters in (1, 2, 3)},
    "inverted": lambda sample, rng: replace(sample, pixels=1 - sample.pixels),
    "vault cut": vault_cut,
    "neck cut": neck_cut,
    "face only": face_only,
    "black border": border(0),
    "white border": border(1),
    "gamma 0.5": tone(lambda pixels: pixels.clip(0, 1) ** 0.5),
    "gamma 2": tone(lambda pixels: pixels.clip(0, 1) ** 2),
    "film curve": tone(_film_curve),
    "contrast x 0.3": tone(lambda pixels: 0.35 + 0.3 * pixels),
    "blur, 0.4 mm": blur,
    "noise, 8 %": noise,
    "16 bit": sixteen_bit,
    "8 bit, 64 levels used": tone(lambda pixels: np.round(40 + pixels.clip(0, 1) * 63)),
    "JPEG, quality 10": jpeg,
    "ruler, letters, digits": overlay,
    "braces": braces,
    **{f"style: {name}": styled(style) for name, style in STYLES.items()},
    "style: three together": styled(lambda: RandMachineStyle(1.0, 3)),
}
