"""How the five patches of Expansive Exploration are merged, on the films that a fold holds out.

``python benchmarks/merges.py ISBI2015/ --global-weights G --local-weights L`` runs the paper's inference with networks
that have not seen the fold, and merges the same patches in several ways. The guide is the maximum of stage 1, or with
``--guide stage-1-mean`` its threshold and mean, or with ``--guide truth --noise MM`` the annotated place with an error
of that standard deviation in rows and in columns. A second table splits the landmarks by how many of the five patches
hold their annotated place, since a place that few patches hold gets few votes in the paper's merge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.datasets.isbi2015 import GroundTruth
from monai_ceph.detection import CephalogramDetector
from monai_ceph.inferers import ExpansiveExplorationInferer
from monai_ceph.inferers.attention_guided import AttentionGuidedInferer
from monai_ceph.metrics import (
    SDR_THRESHOLDS,
    mean_radial_error,
    radial_error_sd,
    radial_errors,
    successful_detection_rate,
)
from monai_ceph.readers import read_radiograph
from monai_ceph.transforms import HeatmapsToLandmarks, landmarks_to_grid, landmarks_to_source

OVERLAYS = Path(__file__).parents[1] / "bundles" / "overlays"

Merge = Callable[[torch.Tensor, list[tuple[int, int]], int], torch.Tensor]


def to_one(patches: torch.Tensor) -> torch.Tensor:
    return patches / patches.flatten(1).amax(dim=1).clamp(min=1e-12)[:, None, None]


def canvases(patches: torch.Tensor, offsets: list[tuple[int, int]], side: int) -> torch.Tensor:
    """Sum of canvases that are 0 outside their patch."""
    total = patches.new_zeros((side, side))
    size = patches.shape[-1]
    for patch, (row, column) in zip(patches, offsets, strict=True):
        total[row : row + size, column : column + size] += patch
    return total


def by_coverage(patches: torch.Tensor, offsets: list[tuple[int, int]], side: int) -> torch.Tensor:
    """Mean over the patches that cover a pixel."""
    return canvases(patches, offsets, side) / canvases(torch.ones_like(patches), offsets, side).clamp(min=1)


MERGES: dict[str, Merge] = {
    "centre patch alone": lambda patches, offsets, side: canvases(patches[-1:], offsets[-1:], side),
    "probabilities, by coverage": by_coverage,
    "probabilities, canvases": canvases,
    "each patch to 1, by coverage": lambda patches, offsets, side: by_coverage(to_one(patches), offsets, side),
    "each patch to 1, canvases (the paper)": lambda patches, offsets, side: canvases(to_one(patches), offsets, side),
}


SINGLE = "one patch of 100 px"


def patches_that_hold(places: torch.Tensor, local: ExpansiveExplorationInferer) -> torch.Tensor:
    """Return (N,) how many patches hold each place (N, 2), which is (row, column) in its window."""
    starts = torch.tensor(local.offsets)[:, None]
    return ((places[None] >= starts) & (places[None] <= starts + local.patch_size - 1)).all(dim=2).sum(dim=0)


class RecordingInferer(ExpansiveExplorationInferer):
    """Keeps the patches that it merges, one entry per landmark."""

    def __init__(self, patch_size: int, expansion: float) -> None:
        super().__init__(patch_size, expansion)
        self.recorded: list[torch.Tensor] = []

    def merge(self, patches: torch.Tensor) -> torch.Tensor:
        """Keep the patches, then merge."""
        self.recorded.append(patches)
        return super().merge(patches)


def row(label: str, errors: list[torch.Tensor]) -> str:
    every = torch.stack(errors)
    rates = " / ".join(f"{successful_detection_rate(every, threshold):.2f}" for threshold in SDR_THRESHOLDS)
    gross = 100 * float((every > 10).double().mean())
    return f"| {label} | {mean_radial_error(every):.3f} ± {radial_error_sd(every):.3f} | {rates} | {gross:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--fold", type=int, default=0, help="held out (default: 0)")
    parser.add_argument("--folds", type=int, default=5, help="number of folds, by seed 0 (default: 5)")
    parser.add_argument("--truth", choices=("mean", "senior", "junior"), default="mean")
    parser.add_argument("--global-weights", required=True, help="has not seen the fold")
    parser.add_argument("--local-weights", required=True, help="has not seen the fold")
    parser.add_argument("--guide", choices=("stage-1", "stage-1-mean", "truth"), default="stage-1")
    parser.add_argument(
        "--noise", type=float, default=0.0, metavar="MM", help="SD of the guide's error with --guide truth"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    truth: GroundTruth = args.truth
    films = split_fold(isbi2015(args.dataset, "train", truth), args.fold, args.folds, 0)[1]
    given = {"global_weights": args.global_weights, "local_weights": args.local_weights}
    if args.guide == "stage-1-mean":
        given["guide_method"] = "mean"
    detector = CephalogramDetector("cpu", [OVERLAYS / "paper.json"], given)
    inferer: AttentionGuidedInferer = detector.inferer
    local = RecordingInferer(inferer.local.patch_size, 1.8)
    single = ExpansiveExplorationInferer(100, 1.8, "centre")
    decode, random = HeatmapsToLandmarks("mean", 0.5), np.random.RandomState(0)
    results: dict[str, list[torch.Tensor]] = {"stage 1": [], SINGLE: [], **{name: [] for name in MERGES}}
    seen = []
    for film in films:
        pixels = torch.from_numpy(read_radiograph(film.image).pixels)[None]
        framed = detector._frame({"image": MetaTensor(pixels, affine=torch.eye(3, dtype=torch.float64))})["image"]
        marks = torch.from_numpy(film.landmarks)
        guide = inferer.guide(framed).landmarks
        if args.guide == "truth":
            noise = random.normal(0, args.noise / film.pixel_spacing, size=marks.shape)
            guide = landmarks_to_grid(marks + torch.from_numpy(noise), framed.affine)

        def keep(name: str, points: torch.Tensor) -> None:
            found = landmarks_to_source(points, framed.affine)  # noqa: B023
            results[name].append(radial_errors(found * film.pixel_spacing, marks * film.pixel_spacing))  # noqa: B023

        keep("stage 1", guide)
        alone = single.explore(framed, guide, detector.network)
        keep(SINGLE, decode(alone.heatmaps) + alone.starts)
        local.recorded.clear()
        windows = local.explore(framed, guide, detector.network)
        seen.append(patches_that_hold(landmarks_to_grid(marks, framed.affine) - windows.starts, local))
        for name, merge in MERGES.items():
            heatmaps = torch.stack([merge(patches, local.offsets, local.side) for patches in local.recorded])
            keep(name, decode(heatmaps) + windows.starts)
    print(f"{len(films)} films of fold {args.fold} of {args.folds}, ground truth {truth}\n")
    print("| merge | MRE ± SD mm | SDR % at 2 / 2.5 / 3 / 4 mm | off by more than 10 mm, % |\n|---|---|---|---|")
    for name, errors in results.items():
        print(row(name, errors))
    print("\n| patches that hold the landmark | landmarks | " + " | ".join((SINGLE, *MERGES)) + " |")
    print("|---|---|" + "---|" * (1 + len(MERGES)))
    counts = torch.stack(seen)
    for count in range(len(local.offsets) + 1):
        chosen = counts == count
        if chosen.any():
            means = (f"{float(torch.stack(results[name])[chosen].mean()):.3f}" for name in (SINGLE, *MERGES))
            print(f"| {count} | {int(chosen.sum())} | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
