"""What the annotations of ISBI 2015 allow: the doctors against each other, against themselves, and between the splits.

``python benchmarks/annotations.py ISBI2015/`` reads no film, only the annotations:

- both doctors against each other, on each split;
- each doctor's two markings of the 20 films that were scanned twice (training and Test1). The second scan is moved, so
  its markings are first brought onto those of the first scan by the best similarity transform; the degrees of freedom
  that the fit takes away are put back;
- the mean shapes of the splits against each other: where a doctor's definition of a landmark changes;
- lengths that are known in people, at the challenge's 0.1 mm per pixel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from monai_ceph.datasets import Film, isbi2015
from monai_ceph.datasets.isbi2015 import DOUBLES_OF_TRAINING, PIXEL_SPACING, GroundTruth
from monai_ceph.landmarks import LANDMARKS, index_of
from monai_ceph.training import mean_shape
from monai_ceph.transforms.geometry import apply, fit_similarity

TRUTHS: tuple[GroundTruth, ...] = ("senior", "junior", "mean")
LIMITS = (2.0, 2.5, 3.0, 4.0)


def points(films: list[Film]) -> torch.Tensor:
    """Return (films, 19, 2) landmarks, (row, column) in mm."""
    return torch.from_numpy(np.stack([film.landmarks for film in films])) * PIXEL_SPACING


def figures(distances: torch.Tensor) -> str:
    rates = " / ".join(f"{100 * float((distances <= limit).double().mean()):.1f}" for limit in LIMITS)
    return f"{float(distances.mean()):.2f} ± {float(distances.std(correction=0)):.2f} | {rates}"


def between_doctors(root: Path) -> None:
    print("| split | films | distance between the doctors, mm | % within 2 / 2.5 / 3 / 4 mm |\n|---|---|---|---|")
    for split in ("train", "test1", "test2", "all"):
        senior, junior = (points(isbi2015(root, split, doctor)) for doctor in ("senior", "junior"))
        print(f"| {split} | {len(senior)} | {figures((senior - junior).norm(dim=2))} |")


def repeated_markings(root: Path) -> None:
    """Print the distance between two markings, and what a perfect detector would reach against one of them."""
    count = 2 * len(LANDMARKS)
    # a similarity transform has four parameters
    shrunk = ((count - 4) / count) ** 0.5
    print("\n| doctor | two markings apart, mm | noise of one marking, mm | % of it within 2 / 2.5 / 3 / 4 mm |")
    print("|---|---|---|---|")
    apart = {}
    for truth in TRUTHS:
        films = {film.name: film for split in ("train", "test1") for film in isbi2015(root, split, truth)}
        distances = []
        for first, second in DOUBLES_OF_TRAINING.items():
            one, two = points([films[first], films[second]])
            distances.append((apply(fit_similarity(two, one), two) - one).norm(dim=1) / shrunk)
        apart[truth] = torch.stack(distances)
        noise = apart[truth] / 2**0.5
        rates = " / ".join(f"{100 * float((noise <= limit).double().mean()):.1f}" for limit in LIMITS)
        print(f"| {truth} | {float(apart[truth].mean()):.2f} | {float(noise.mean()):.2f} | {rates} |")
    print(f"\n| landmark | {' | '.join(f'{truth}, two markings apart, mm' for truth in TRUTHS)} |\n|---|---|---|---|")
    for mark in LANDMARKS:
        cells = " | ".join(f"{float(apart[truth][:, mark.number - 1].mean()):.1f}" for truth in TRUTHS)
        print(f"| {mark.number} {mark.name} | {cells} |")


def definitions(root: Path) -> None:
    """Print how far each landmark's mean place moves from one split to another, seen from the others."""
    print("\n| landmark | doctor | Test1 from train: x, y, mm | Test2 from train: x, y, mm |\n|---|---|---|---|")
    for truth in TRUTHS:
        shapes = {}
        for split in ("train", "test1", "test2"):
            films = isbi2015(root, split, truth)
            shape = torch.tensor(mean_shape([{"landmarks": film.landmarks} for film in films]), dtype=torch.float64)
            size = (
                (points(films) - points(films).mean(dim=1, keepdim=True)).square().sum(dim=2).mean(dim=1).sqrt().mean()
            )
            shapes[split] = shape * size
        moved = {
            split: apply(fit_similarity(shapes[split], shapes["train"]), shapes[split]) - shapes["train"]
            for split in ("test1", "test2")
        }
        for mark in LANDMARKS:
            offsets = [moved[split][mark.number - 1] for split in ("test1", "test2")]
            if max(float(offset.norm()) for offset in offsets) >= 2:
                cells = " | ".join(f"{float(offset[1]):+.1f}, {float(offset[0]):+.1f}" for offset in offsets)
                print(f"| {mark.number} {mark.name} | {truth} | {cells} |")


def lengths(root: Path) -> None:
    marks = points(isbi2015(root, "all", "mean"))
    print("\n| length at 0.1 mm per pixel | mean ± SD of 400 films, mm |\n|---|---|")
    for start, end in (("S", "N"), ("N", "Me"), ("Go", "Me"), ("PNS", "ANS")):
        each = (marks[:, index_of(start)] - marks[:, index_of(end)]).norm(dim=1)
        print(f"| {start}-{end} | {float(each.mean()):.1f} ± {float(each.std()):.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder; only the annotations are read")
    args = parser.parse_args()
    between_doctors(args.dataset)
    repeated_markings(args.dataset)
    definitions(args.dataset)
    lengths(args.dataset)


if __name__ == "__main__":
    main()
