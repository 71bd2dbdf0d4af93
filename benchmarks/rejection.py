"""Counts which images are rejected: images that are not cephalograms should be, films should not.

``python benchmarks/rejection.py ISBI2015/`` runs on drawn images, images shipped with installed packages (more with
``pip install scikit-image scikit-learn imageio``), and the films of a fold, or of the whole training split with
``--all``. Test films are not used. The shipped weights were trained on these films: give networks that were not.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from not_cephalograms import drawn, shipped

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import RejectedError
from monai_ceph.readers import Radiograph, read_radiograph

_FILMS = "films"


def judge(detector: CephalogramDetector, images: Iterable[Radiograph]) -> dict[str, list[str]]:
    """Return the reason for rejecting each image, by kind; an empty string if it was not rejected."""
    verdicts: dict[str, list[str]] = defaultdict(list)
    for image in images:
        kind = image.path.parts[0]
        try:
            detection = detector(image)
        except RejectedError as error:
            verdicts[kind].append(str(error).partition(": not a lateral cephalogram: ")[2])
        else:
            if kind != _FILMS:
                score = np.mean([mark.score for mark in detection.landmarks])
                print(f"taken for a cephalogram: {image.path}, mean score {score:.2f}", flush=True)
            verdicts[kind].append("")
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--fold", type=int, default=0, help="held out (default: 0)")
    parser.add_argument("--folds", type=int, default=5, help="how many there are, by seed 0 (default: 5)")
    parser.add_argument("--all", action="store_true", help="the whole training split instead of a fold")
    parser.add_argument("--count", type=int, default=5, help="drawn images of every kind")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="default: the shipped ones")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    detector = CephalogramDetector("cpu", overrides={key: file for key, file in given.items() if file})
    every = isbi2015(args.dataset, "train", "mean")
    films = every if args.all else split_fold(every, args.fold, args.folds, 0)[1]
    images = {"drawn": drawn(args.count), "in packages": shipped()}
    radiographs = (Radiograph(read_radiograph(film.image).pixels, Path(_FILMS)) for film in films)
    rows = []
    for images_of in (*images.values(), radiographs):
        rows += judge(detector, images_of).items()
    print("\n| images | n | rejected | for instance because |")
    print("|---|---|---|---|")
    for kind, verdicts in rows:
        reasons = [verdict for verdict in verdicts if verdict]
        print(f"| {kind} | {len(verdicts)} | {len(reasons)} | {reasons[0] if reasons else ''} |")


if __name__ == "__main__":
    main()
