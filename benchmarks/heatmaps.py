"""LandmarksToHeatmaps against MONAI's GenerateHeatmap: speed, and error of the decoded landmarks.

Prints the markdown tables of benchmarks/JOURNAL.md: ``python benchmarks/heatmaps.py --threads 1``.

Both get the same sigma and the same random sub-pixel landmarks, as float32 on the CPU. Ours also computes the
background channel (eq. 2 of Zhong et al. 2019); GenerateHeatmap has none. Its other options are the defaults: a
Gaussian cut at 4 sigma, each channel scaled to a maximum of 1. The calls of the two alternate, so that a busy machine
slows both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import monai
import torch
from monai.data import MetaTensor
from monai.transforms import GenerateHeatmap

from monai_ceph.datasets.phantom import draw_phantom
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.transforms import HeatmapsToLandmarks, LandmarksToHeatmaps, SquareFilm, affine_of, landmarks_to_grid

# side of the grid, sigma, scale of the stage: see bundles/overlays/global.json and bundles/local.json
GRIDS = ((290, 40 / 6, 0.15), (968, 30 / 6, 0.5))
# mm per source pixel, the convention of the ISBI 2015 challenge
SPACING = 0.1

DECODERS = {
    "arg max, refined": HeatmapsToLandmarks("argmax"),
    "arg max, whole pixels": HeatmapsToLandmarks("argmax", refine=False),
    "threshold 0.5 and mean": HeatmapsToLandmarks("mean"),
}


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def time_both(side: int, sigma: float, repeats: int, generator: torch.Generator) -> tuple[float, float]:
    """Return the median seconds of a call, ours and MONAI's."""
    ours, theirs = LandmarksToHeatmaps(sigma), GenerateHeatmap(sigma=sigma, spatial_shape=(side, side))
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 2):
        points = torch.rand((NUM_LANDMARKS, 2), generator=generator) * (side - 1)
        pair = seconds(partial(ours, points, (side, side))), seconds(partial(theirs, points))
        # the first two calls also set things up
        if repeat >= 2:
            times[0].append(pair[0])
            times[1].append(pair[1])
    return statistics.median(times[0]), statistics.median(times[1])


def apart(side: int, sigma: float, generator: torch.Generator) -> torch.Tensor:
    """Return random landmarks at least 6 sigma (or side / 8) from each other and 4 sigma from the border."""
    margin, gap, points = 4 * sigma, min(6 * sigma, side / 8), torch.empty((0, 2))
    while len(points) < NUM_LANDMARKS:
        candidate = margin + torch.rand((1, 2), generator=generator) * (side - 1 - 2 * margin)
        if not len(points) or float(torch.cdist(candidate, points).min()) > gap:
            points = torch.cat((points, candidate))
    return points


def head(side: int, generator: torch.Generator) -> torch.Tensor:
    """Return the landmarks of a random phantom in the paper's frame, where some are close enough to overlap."""
    # a small film is drawn fast, and its landmarks are at the same positions up to a fraction of a pixel
    phantom = draw_phantom(int(torch.randint(2**31, (), generator=generator)), height=160, width=128)
    film = SquareFilm(side)(MetaTensor(torch.zeros((1, 160, 128)), affine=torch.eye(3)))
    return landmarks_to_grid(torch.from_numpy(phantom.landmarks), affine_of(film)).float()


def decoding_errors(
    side: int, sigma: float, draw: Callable[[], torch.Tensor], films: int
) -> dict[str, tuple[float, float]]:
    """Return the mean localisation error in pixels of the grid, ours and MONAI's, for every decoder."""
    ours, theirs = LandmarksToHeatmaps(sigma), GenerateHeatmap(sigma=sigma, spatial_shape=(side, side))
    errors: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in DECODERS}
    for _ in range(films):
        points = draw()
        maps = (ours(points, (side, side))[:-1], theirs(points))
        for name, decode in DECODERS.items():
            for found, each in zip(errors[name], maps, strict=True):
                found.extend(torch.linalg.vector_norm(decode(each) - points, dim=1).tolist())
    return {name: (statistics.mean(own), statistics.mean(other)) for name, (own, other) in errors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="LandmarksToHeatmaps against MONAI's GenerateHeatmap.")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1, as a DataLoader's worker)")
    parser.add_argument("--repeats", type=int, default=15, help="timed calls; the median counts")
    parser.add_argument("--films", type=int, default=10, help="sets of 19 landmarks for the localisation error")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)

    print(
        f"{os.cpu_count()} CPUs, {options.threads} threads, torch {torch.__version__}, MONAI {monai.__version__}; "
        f"median of {options.repeats} calls.\n"
    )
    print("| grid | sigma | monai-ceph | GenerateHeatmap | ratio |\n|---|---|---|---|---|")
    for side, sigma, _ in GRIDS:
        own, other = time_both(side, sigma, options.repeats, generator)
        print(
            f"| {side} x {side} x {NUM_LANDMARKS} | {sigma:.2f} px | {own * 1e3:.2f} ms | {other * 1e3:.1f} ms "
            f"| {other / own:.1f} x |"
        )
    print(
        f"\nMean localisation error after decoding, {options.films} x {NUM_LANDMARKS} random sub-pixel landmarks "
        f"each, in pixels of the grid and in mm ({SPACING:g} mm per source pixel):\n"
    )
    print("| grid | landmarks | decoded by | monai-ceph | GenerateHeatmap |\n|---|---|---|---|---|")
    for side, sigma, scale in GRIDS:
        draws = {
            "apart": partial(apart, side, sigma, generator),
            "of a head": partial(head, side, generator),
        }
        for kind, draw in draws.items():
            for name, pair in decoding_errors(side, sigma, draw, options.films).items():
                cells = " | ".join(f"{error:.4f} px, {error * SPACING / scale:.4f} mm" for error in pair)
                print(f"| {side} x {side} | {kind} | {name} | {cells} |")


if __name__ == "__main__":
    main()
