"""Distance between points in bfloat16 and in single precision, on the films that a fold holds out.

``python benchmarks/precision.py ISBI2015/ --global-weights G --local-weights L --context-weights C`` prints it in mm,
at 0.1 mm per pixel. No ground truth is needed. Give networks that were not trained on the fold: they are then as
uncertain as on any other film.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector

MM_PER_PIXEL = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--fold", type=int, default=0, help="of 5, seed 0 (default: 0)")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="default: the shipped ones")
    args = parser.parse_args()
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    given = {key: file for key, file in given.items() if file}
    single, mixed = (CephalogramDetector("cpu", overrides={**given, "mixed_precision": on}) for on in (False, True))
    films = split_fold(isbi2015(args.dataset, "train", "mean"), args.fold, 5, 0)[1]
    offsets = np.concatenate([single(film.image).points() - mixed(film.image).points() for film in films])
    apart = MM_PER_PIXEL * np.linalg.norm(offsets[np.isfinite(offsets).all(axis=1)], axis=1)
    print(
        f"{len(films)} films, {len(apart)} landmarks found by both: mean {apart.mean():.3f} mm, 95 % within "
        f"{np.quantile(apart, 0.95):.2f}, at most {apart.max():.2f}"
    )


if __name__ == "__main__":
    main()
