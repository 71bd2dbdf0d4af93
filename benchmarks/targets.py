"""Copies a fold's training films with moved landmarks, to train on these targets.

``python benchmarks/targets.py ISBI2015/ OUT --folds 2 --fold 0 --share -0.5 --global-weights G --local-weights L
--context-weights C`` writes a dataset folder with links to the films. Each landmark is moved along the line from its
annotation to the point that the networks find; these were trained on the same films. With ``--share 1`` the target is
the networks' point. Below 0 it is beyond the annotation, on the side away from that point. A landmark that the networks
do not find is not moved. The films that the fold holds out are not in the folder: train with ``--dataset_dir OUT
--fold '$None'``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from all_films import write

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.evaluation import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--share", type=float, required=True, help="of the way from the annotation to what is found")
    parser.add_argument("--fold", type=int, help="held out (default: none)")
    parser.add_argument("--folds", type=int, default=5)
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="of a network that was trained on these films")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    films, _ = split_fold(isbi2015(args.dataset, "train"), args.fold, args.folds, 0)
    given = {f"{name}_weights": file for name in weights.STAGES if (file := getattr(args, f"{name}_weights"))}
    offsets = evaluate(films, CephalogramDetector("cpu", overrides=given)).offsets.nan_to_num(nan=0.0).numpy()
    write(
        [
            replace(film, landmarks=film.landmarks + args.share * offset / film.pixel_spacing)
            for film, offset in zip(films, offsets, strict=True)
        ],
        args.out,
    )
    moved = abs(args.share) * (offsets**2).sum(axis=-1) ** 0.5
    print(f"{len(films)} films in {args.out}, whose landmarks moved by {moved.mean():.2f} mm on average")


if __name__ == "__main__":
    main()
