"""Gathers the films of all splits in one dataset folder, to train the networks that ship.

``python benchmarks/all_films.py ISBI2015/ OUT`` writes links to the films and a table of the mean of both doctors.
Train with ``--dataset_dir OUT --fold '$None'``. With ``--fold K``, the training films of that fold are left out, and so
are second scans of them: networks for choosing a recipe, measured on the fold.

The senior marks some landmarks of Test2 at another place than before, Pog' by 10 mm (annotations.py). ``--test2`` says
what becomes of them. ``aligned`` moves all of the senior's landmarks on Test2 by a constant per landmark, so that the
doctors differ there by as much, on average, as on the films before.

Both doctors together mark some landmarks of Test1 and Test2 at another place than on the training films, A by 1.1 mm.
``--definitions CONFIG`` takes that out: CONFIG names networks that were trained on only the training films
(earlier_weights.py), and each landmark of a split is moved, in the frame of the head, by the median of its distance
from where these networks find it. What is left is how the doctors' points differ from film to film.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from profiles import detected, residuals

from monai_ceph import weights
from monai_ceph.datasets import Film, isbi2015, split_fold
from monai_ceph.datasets.folder import TABLE
from monai_ceph.datasets.isbi2015 import first_scan
from monai_ceph.landmarks import NAMES, SYMBOLS
from monai_ceph.profiles.frame import head_frame
from monai_ceph.result import Detection

TREATMENTS = ("aligned", "as-annotated", "none")


def aligned(later: list[Film], before: list[Film]) -> list[Film]:
    """Return the later films as if the senior had marked them by the definitions of the films before.

    ``spread`` is half the way from the senior's point to the junior's, and ``landmarks`` is the mean of both.
    """
    change = np.mean([film.spread for film in later], axis=0) - np.mean([film.spread for film in before], axis=0)
    # the senior's point moves by twice the change of half the distance, so the mean of both moves by the change
    return [replace(film, landmarks=film.landmarks + change, spread=film.spread - change) for film in later]


def with_definitions_of_training(films: list[Film], detections: list[Detection]) -> list[Film]:
    """Return the films of a split as if the doctors had marked them by the definitions of the training films."""
    shift = np.median(residuals(films, detections)[0], axis=0)
    shape = np.array(weights.mean_shape())[:, ::-1]
    moved = []
    for film, detection in zip(films, detections, strict=True):
        frame = head_frame(detection.points(), shape)
        assert frame is not None, film.name
        moved.append(replace(film, landmarks=film.landmarks - frame.to_film(shift)[:, ::-1]))
    return moved


def write(films: list[Film], out: Path) -> None:
    """Write links to the films, and their landmarks as a table."""
    out.mkdir(parents=True)
    with (out / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("film", "landmark", "symbol", "x", "y", "pixel_spacing", "spread_x", "spread_y"))
        for film in films:
            (out / film.image.name).symlink_to(film.image.resolve())
            for name, symbol, place, spread in zip(NAMES, SYMBOLS, film.landmarks, film.spread, strict=True):
                (y, x), (to_y, to_x) = ((f"{value:.3f}" for value in pair) for pair in (place, spread))
                table.writerow((film.image.name, name, symbol, x, y, film.pixel_spacing, to_x, to_y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--test2", choices=TREATMENTS, default="aligned", help="the films of Test2 (default: aligned)")
    parser.add_argument("--definitions", type=Path, metavar="CONFIG", help="networks of the training films alone")
    parser.add_argument("--points", type=Path, help="where their detections are kept (default: OUT-points)")
    parser.add_argument("--fold", type=int, help="of the training films, left out (default: none)")
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    train, test1, test2 = (isbi2015(args.dataset, split) for split in ("train", "test1", "test2"))
    if args.test2 == "aligned":
        test2 = aligned(test2, train + test1)
    elif args.test2 == "none":
        test2 = []
    if args.definitions is not None:
        torch.set_num_threads(1)
        every_landmark = {"error_model": None, "missing_below": 0.0}
        # a folder for each set of films: detections of other networks must not be taken for these
        points = args.points or args.out.with_name(f"{args.out.name}-points")
        for split in filter(None, (test1, test2)):
            found = detected(split, points, None, every_landmark, [args.definitions])
            split[:] = with_definitions_of_training(split, found)
    kept, held_out = split_fold(train, args.fold, args.folds, 0)
    left_out = set() if args.fold is None else {first_scan(film) for film in held_out}
    films = kept + [film for film in test1 + test2 if first_scan(film) not in left_out]
    write(films, args.out)
    print(f"{len(films)} films in {args.out}")


if __name__ == "__main__":
    main()
