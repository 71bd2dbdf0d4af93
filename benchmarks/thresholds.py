"""What the limits in bundles/inference.json (uncertain_below, rejection) let through and hold back.

``python benchmarks/thresholds.py ISBI2015/`` runs the detector on the validation fold of the training films, on the
same films mirrored and turned upside down, and on noise, and prints the figures that the limits were chosen by. Test
films are not touched. The shipped weights have seen the fold: give networks that have not (``--global-weights`` and so
on).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.metrics import radial_errors
from monai_ceph.plausibility import shape_residual
from monai_ceph.readers import Radiograph, read_radiograph


def noise(seed: int) -> Radiograph:
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 24, 20)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (1200, 968), mode="bicubic")[0, 0].numpy()
    return Radiograph(smooth + rng.normal(scale=0.2, size=smooth.shape).astype(np.float32), Path(f"noise-{seed}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    for stage in weights.STAGES:
        parser.add_argument(f"--{stage}-weights", help="default: the shipped ones")
    args = parser.parse_args()
    _, films = split_fold(isbi2015(args.dataset, "train", "mean"), args.fold, args.folds, args.seed)
    given = {f"{stage}_weights": getattr(args, f"{stage}_weights") for stage in weights.STAGES}
    detector = CephalogramDetector(overrides={key: file for key, file in given.items() if file})
    mean_shape = np.array(weights.model()["mean_shape"])

    print("| images | n | mean score: min, median, max | shape residual: min, median, max |")
    print("|---|---|---|---|")

    def judge(label: str, images: list[Radiograph]) -> list[tuple[np.ndarray, np.ndarray]]:
        found = []
        for image in images:
            detection = detector(image, force=True)
            found.append((detection.points(), np.array([mark.score for mark in detection.landmarks])))
        scores = [float(score.mean()) for _, score in found]
        residuals = [shape_residual(points, mean_shape) for points, _ in found]

        def three(values: list[float]) -> str:
            return ", ".join(f"{value:.3f}" for value in (min(values), float(np.median(values)), max(values)))

        print(f"| {label} | {len(images)} | {three(scores)} | {three(residuals)} |", flush=True)
        return found

    radiographs = [read_radiograph(film.image) for film in films]
    found = judge("validation films", radiographs)
    few = radiographs[:10]
    judge("mirrored", [replace(each, pixels=each.pixels[:, ::-1].copy()) for each in few])
    judge("upside down", [replace(each, pixels=each.pixels[::-1].copy()) for each in few])
    judge("noise", [noise(seed) for seed in range(10)])

    truth = np.stack([film.landmarks * film.pixel_spacing for film in films])
    points = np.stack([point for point, _ in found]) * films[0].pixel_spacing
    errors = radial_errors(torch.from_numpy(points), torch.from_numpy(truth)).numpy().ravel()
    score = np.concatenate([score for _, score in found])
    wrong = errors > 4
    print(f"\n{len(errors)} landmarks, {wrong.sum()} of them off by more than 4 mm.\n")
    print("| score below | landmarks called uncertain % | of those off by more than 4 mm, caught % |")
    print("|---|---|---|")
    for limit in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5):
        low = score < limit
        print(f"| {limit:g} | {100 * low.mean():.1f} | {100 * low[wrong].mean():.1f} |")


if __name__ == "__main__":
    main()
