"""The evidence of the right view of each film and of the wrong views. Its limits were chosen from these figures.

``python benchmarks/views.py ISBI2015/ --global-weights G`` tries all 16 views of the films of a fold. Test films are
not used. The shipped weights were trained on the fold: give a network that was not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.inferers.pose import UPRIGHT
from monai_ceph.transforms import LoadRadiograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--fold", type=int, default=0, help="held out (default: 0)")
    parser.add_argument("--folds", type=int, default=5, help="how many there are, by seed 0 (default: 5)")
    parser.add_argument("--global-weights", help="default: the shipped ones")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    overrides = {"global_weights": args.global_weights} if args.global_weights else {}
    finder = CephalogramDetector("cpu", overrides=overrides).inferer.pose
    load, seen = LoadRadiograph(), []
    for film in split_fold(isbi2015(args.dataset, "train", "mean"), args.fold, args.folds, 0)[1]:
        evidence = finder.evidence(load(film.image))
        seen.append((evidence.pop(UPRIGHT), max(evidence.values())))
    print("| view | films | lowest | median | highest |\n|---|---|---|---|---|")
    for label, values in zip(("as it is", "the best of the 15 others"), zip(*seen, strict=True), strict=True):
        print(f"| {label} | {len(values)} | {min(values):.2f} | {np.median(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main()
