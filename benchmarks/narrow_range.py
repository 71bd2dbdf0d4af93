"""Accuracy on DICOM films whose anatomy fills only a small part of the grey values.

``python benchmarks/narrow_range.py ISBI2015/`` writes training films as DICOM files to a temporary folder. The anatomy
is in the lowest ``1/f`` of the range, and 3 % of the area is at the highest value: a block in a corner, a strip at the
border or lead markers beside the head, in turn. The header has a window over the anatomy. It prints a row per kind of
file. ``--set KEY=VALUE`` changes the detector: ``--set 'pose#intensity#max_gap=null'`` scales by percentiles only. The
shipped weights, which are the default, were trained on these films: only compare the rows with each other.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fold import TRAINING_FIGURES, assignment, trained_on_the_films
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter

from monai_ceph.datasets import Film, isbi2015
from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import RejectedError
from monai_ceph.readers import read_radiograph

# share of the film's area
AREA = 0.03
# below this share of the range there is no tissue
AIR = 0.05


@dataclass(frozen=True)
class Kind:
    """How a film is stored.

    Attributes:
        bits: stored bits.
        divisor: f: the anatomy fills the values up to the highest one over f.
        blur: standard deviation of the blur at the edges of areas at the highest value, in pixels.
        window: the header has a window over the anatomy.
        monochrome1: inverted, with the air at the highest value instead of 3 % of the area.
    """

    bits: int
    divisor: float
    blur: float = 0.0
    window: bool = True
    monochrome1: bool = False


KINDS = {
    "as it is": None,
    "12 bit, f = 1": Kind(12, 1),
    **{f"12 bit, f = {divisor}": Kind(12, divisor) for divisor in (1.6, 2, 3, 5, 7, 10)},
    "14 bit, f = 20": Kind(14, 20),
    "12 bit, f = 10, no window": Kind(12, 10, window=False),
    "12 bit, f = 5, soft edges": Kind(12, 5, blur=8),
    "14 bit, f = 20, soft edges": Kind(14, 20, blur=8),
    **{
        f"MONOCHROME1, 14 bit, f = {divisor}, air at 16383": Kind(14, divisor, monochrome1=True)
        for divisor in (2, 5, 20)
    },
}


def _bright(shape: tuple[int, int], landmarks: np.ndarray, number: int) -> np.ndarray:
    """Return where a film is set to the highest value, 0..1."""
    rows, columns = shape
    mask = np.zeros(shape, np.float32)
    match number % 3:
        case 0:
            side = AREA**0.5
            mask[: round(side * rows), : round(side * columns)] = 1
        case 1:
            mask[:, -round(AREA * columns) :] = 1
        case 2:
            # in front of the face, at the height of the eyes and of the chin, on the square around the head
            height = round((AREA * rows * columns / 2) ** 0.5)
            left = min(round(landmarks[:, 1].max()) + 100, columns - height)
            for row in landmarks[1, 0], landmarks[7, 0]:
                mask[round(row) - height // 2 : round(row) + height // 2, left : left + height] = 1
    return mask


def stored(pixels: np.ndarray, landmarks: np.ndarray, number: int, kind: Kind) -> np.ndarray:
    """Return the values of a film (row, column) as a file of this kind stores them.

    Args:
        pixels: 0..1.
        landmarks: (N, 2), (row, column).
        number: number of the film; it chooses which area is at the highest value.
        kind: kind of the file.
    """
    highest = 2**kind.bits - 1
    anatomy = (1 - pixels if kind.monochrome1 else pixels) * (highest / kind.divisor)
    bright = (pixels < AIR).astype(np.float32) if kind.monochrome1 else _bright(pixels.shape, landmarks, number)
    if kind.blur:
        bright = gaussian_filter(bright, kind.blur)
    return np.rint(anatomy + bright * (highest - anatomy)).astype(np.uint16)


def save(path: Path, values: np.ndarray, kind: Kind) -> None:
    """Write stored values as a DX file, with a window over the anatomy."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Modality, dataset.SamplesPerPixel, dataset.PixelRepresentation = "DX", 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME1" if kind.monochrome1 else "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, kind.bits, kind.bits - 1
    if kind.window:
        width = round(2**kind.bits / kind.divisor)
        dataset.WindowCenter, dataset.WindowWidth = str(width / 2), str(width)
    dataset.PixelData = values.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)


@dataclass
class Found:
    """The result on one film: errors in mm (infinite if missing), and whether it was rejected."""

    errors: np.ndarray
    rejected: bool


def detect(detector: CephalogramDetector, film: Film, path: Path) -> Found:
    try:
        detection, rejected = detector(path), False
    except RejectedError:
        detection, rejected = detector(path, force=True), True
    errors = np.linalg.norm(detection.points()[:, ::-1] - film.landmarks, axis=1) * film.pixel_spacing
    return Found(np.nan_to_num(errors, nan=np.inf), rejected)


def row(label: str, found: list[Found]) -> str:
    """Return a line of the table; the landmarks of rejected films count, too."""
    errors = np.stack([each.errors for each in found])
    known = np.isfinite(errors)
    rejected = sum(each.rejected for each in found)
    return f"| {label} | {errors[known].mean():.3f} | {np.count_nonzero(~known)} | {rejected} |"


def measure(detector: CephalogramDetector, films: list[Film], kind: Kind | None, folder: Path) -> list[Found]:
    found = []
    for number, film in enumerate(films):
        path = film.image
        if kind is not None:
            path = folder / "film.dcm"
            pixels = read_radiograph(film.image).pixels
            scaled = (pixels - pixels.min()) / np.ptp(pixels)
            save(path, stored(scaled, film.landmarks, number, kind), kind)
        found.append(detect(detector, film, path))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--films", type=int, default=12, help="the first so many training films (default: 12)")
    parser.add_argument("--only", nargs="+", metavar="KIND", choices=list(KINDS), help="only these kinds of file")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    films = isbi2015(args.dataset, "train", "mean")[: args.films]
    settings = dict(args.settings)
    if trained_on_the_films(args.config, settings):
        print(TRAINING_FIGURES)
    detector = CephalogramDetector("cpu", overlays=args.config, overrides=settings)
    print(f"{len(films)} films, mean of both doctors\n")
    print("| kind of file | MRE mm | missing | rejected |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for label in args.only or KINDS:
            print(row(label, measure(detector, films, KINDS[label], Path(folder))), flush=True)


if __name__ == "__main__":
    main()
