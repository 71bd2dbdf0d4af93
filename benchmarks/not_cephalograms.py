"""Images that are not lateral cephalograms, for rejection.py: drawn here, or shipped with installed packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from monai_ceph.errors import CephError
from monai_ceph.readers import Radiograph, read_radiograph

__all__ = ["drawn", "shipped"]

_PACKAGES = ("matplotlib", "skimage", "sklearn", "imageio", "scipy", "pydicom", "nibabel", "networkx", "sympy", "torch")
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"}


def _canvas(rows: int, columns: int, value: int = 0) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (columns, rows), value)
    return image, ImageDraw.Draw(image)


def _soft(image: Image.Image, radius: float, rng: np.random.Generator) -> np.ndarray:
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)
    return pixels + rng.normal(0, 4, pixels.shape).astype(np.float32)


def _chest(rng: np.random.Generator) -> np.ndarray:
    image, draw = _canvas(1200, 1000, 140)
    for side in (-1, 1):
        middle = 500 + side * rng.uniform(190, 230)
        draw.ellipse([middle - 170, 180, middle + 170, 960], fill=35)
        for rib in range(9):
            top = 150 + 95 * rib + rng.uniform(-8, 8)
            draw.arc([middle - 230, top, middle + 230, top + 260], 190, 350, fill=110, width=22)
        draw.line([500, 170, middle + side * 190, 120], fill=190, width=26)
    draw.rectangle([455, 0, 545, 1200], fill=175)
    draw.ellipse([430, 560, 720, 900], fill=170)
    return _soft(image, 5, rng)


def _hand(rng: np.random.Generator) -> np.ndarray:
    image, draw = _canvas(1200, 950, 10)
    wrist = np.array([1050.0, 480.0])
    for angle, length in zip((-52, -18, -3, 12, 27), (480, 700, 760, 720, 600), strict=True):
        direction = np.array([-np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        start, step = wrist + 110 * direction, (length - 110) / 4
        for bone in range(4):
            first = start + direction * bone * step
            last = first + direction * (step - 18)
            width = int(rng.uniform(34, 44) - 5 * bone)
            draw.line([first[1], first[0], last[1], last[0]], fill=90, width=2 * width)
            draw.line([first[1], first[0], last[1], last[0]], fill=200, width=width)
    for _ in range(8):
        row, column = wrist + rng.uniform(-70, 70, size=2)
        draw.ellipse([column - 36, row - 30, column + 36, row + 30], fill=185)
    return _soft(image, 4, rng)


def _panoramic(rng: np.random.Generator) -> np.ndarray:
    image, draw = _canvas(1000, 1900, 60)
    draw.arc([120, -500, 1780, 820], 20, 160, fill=190, width=120)
    draw.arc([260, -700, 1640, 560], 25, 155, fill=150, width=90)
    for number in range(32):
        column = 350 + 75 * (number % 16) + rng.uniform(-8, 8)
        base = 560 - 0.0004 * (column - 950) ** 2
        top, bottom = (base - 130, base - 8) if number < 16 else (base + 8, base + 130)
        draw.rounded_rectangle([column - 28, top, column + 28, bottom], 20, fill=int(rng.uniform(205, 245)))
    for side in (180, 1720):
        draw.ellipse([side - 90, 60, side + 90, 260], fill=170)
    return _soft(image, 4, rng)


def _knee(rng: np.random.Generator) -> np.ndarray:
    image, draw = _canvas(1300, 900, 20)
    draw.rectangle([250, 0, 650, 1300], fill=70)
    draw.rectangle([370, 0, 530, 520], fill=190)
    draw.ellipse([300, 430, 600, 650], fill=200)
    draw.ellipse([300, 660, 600, 800], fill=195)
    draw.rectangle([390, 730, 520, 1300], fill=185)
    draw.rectangle([560, 800, 610, 1300], fill=160)
    draw.ellipse([420, 380, 540, 480], fill=220)
    return _soft(image, 5, rng)


def _text(rng: np.random.Generator) -> np.ndarray:
    image, draw = _canvas(1400, 1000, 250)
    words = ["film", "mandible", "patient", "report", "of", "the", "angle", "normal", "2019", "ANB"]
    for line in range(34):
        text = " ".join(rng.choice(words, size=11))
        draw.text((60, 40 + 38 * line), text, fill=10, font=ImageFont.load_default(26))
    return np.asarray(image, dtype=np.float32)


def _smooth_noise(rng: np.random.Generator) -> np.ndarray:
    coarse = Image.fromarray(rng.integers(0, 255, (24, 20)).astype(np.uint8))
    pixels = np.asarray(coarse.resize((968, 1200), Image.Resampling.BICUBIC), dtype=np.float32)
    return pixels + rng.normal(0, 25, pixels.shape).astype(np.float32)


def _white_noise(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 1, (1200, 968)).astype(np.float32)


def _gradient(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:1200, :968]
    return (rows * np.cos(angle) + columns * np.sin(angle)).astype(np.float32)


def _chessboard(rng: np.random.Generator) -> np.ndarray:
    cell = int(rng.integers(40, 160))
    rows, columns = np.mgrid[:1200, :968] // cell
    return ((rows + columns) % 2 * 255).astype(np.float32)


def _circles(rng: np.random.Generator) -> np.ndarray:
    image, draw = _canvas(1200, 968, 20)
    for _ in range(30):
        (row, column), radius = rng.uniform(0, 1100, 2), rng.uniform(20, 220)
        draw.ellipse([column - radius, row - radius, column + radius, row + radius], fill=int(rng.uniform(0, 255)))
    return _soft(image, 3, rng)


_DRAWN = {
    "chest": _chest,
    "hand": _hand,
    "panoramic": _panoramic,
    "knee": _knee,
    "page of text": _text,
    "smooth noise": _smooth_noise,
    "white noise": _white_noise,
    "gradient": _gradient,
    "chessboard": _chessboard,
    "circles": _circles,
}


def drawn(count: int) -> Iterator[Radiograph]:
    """Yield ``count`` images of every kind; the path is the kind."""
    for kind, draw in _DRAWN.items():
        for seed in range(count):
            yield Radiograph(draw(np.random.default_rng(seed)), Path(kind))


def shipped() -> Iterator[Radiograph]:
    """Yield the images in installed packages that can be read as a film; the path is the package."""
    for package in _PACKAGES:
        found = importlib.util.find_spec(package)
        folder = Path(found.origin).parent if found and found.origin else None
        files = sorted(folder.rglob("*")) if folder else []
        for file in (each for each in files if each.suffix.lower() in _SUFFIXES and each.stat().st_size > 8000):
            try:
                radiograph = read_radiograph(file)
            except CephError:
                continue
            yield Radiograph(radiograph.pixels, Path(package) / file.name)
