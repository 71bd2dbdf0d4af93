"""How often the true point lies within the stated radius, on a split, without a profile and with one.

``python benchmarks/coverage.py ISBI2015/ --split test2 --films 10 20 --config runs/w150/weights.json`` detects on all
films of the split, then draws films at random, learns a profile from their annotations, and detects on the others with
it. The shipped weights, which are the default, saw all splits: earlier_weights.py writes such a config of others. Test
films are read once per recipe: nothing may be chosen on them. ``--truth`` says whose points count.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from stress import OFF, area_under_curve

from monai_ceph import CephalogramDetector, weights
from monai_ceph.datasets import Film, open_dataset
from monai_ceph.profiles.learn import learn
from monai_ceph.result import Detection

GROSS = 10.0


def print_row(label: str, films: list[Film], detections: list[Detection]) -> None:
    """Print coverage, errors and status of some films."""
    marks = [mark for detection in detections for mark in detection.landmarks]
    truth = np.concatenate([film.landmarks[:, ::-1] for film in films])
    sides = np.repeat([film.pixel_spacing for film in films], len(films[0].landmarks))
    places = np.concatenate([detection.points() for detection in detections])
    errors = np.linalg.norm(places - truth, axis=1) * sides
    found = np.isfinite(errors)
    radii = [
        np.array([getattr(mark, name) or np.nan for mark in marks]) * sides for name in ("radius_90_px", "radius_95_px")
    ]
    inside = [100 * (errors[found] <= radius[found]).mean() for radius in radii]
    each = (errors <= radii[0]).reshape(len(films), -1).sum(axis=0) / found.reshape(len(films), -1).sum(axis=0)
    status = np.array([mark.status for mark in marks])
    gross = (errors > GROSS) & (status == "ok")
    print(
        f"| {label} | {len(films)} | {errors[found].mean():.3f} | {100 * (errors <= 2).mean():.1f} | {inside[0]:.1f} | "
        f"{100 * each.min():.1f}, {100 * each.max():.1f} | {inside[1]:.1f} | {np.median(radii[0][found]):.2f} | "
        f"{area_under_curve(-radii[0][found], errors[found] > OFF):.3f} | {100 * (~found).mean():.2f} | "
        f"{100 * (status == 'uncertain').mean():.1f} | {100 * gross.mean():.3f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--split", choices=("train", "test1", "test2"), default="test2")
    parser.add_argument("--truth", choices=("mean", "senior", "junior"), default="mean")
    parser.add_argument("--films", type=int, nargs="*", default=[10, 20], help="numbers to learn a profile from")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    args = parser.parse_args()
    films = open_dataset(args.dataset, args.split, args.truth)
    detector = CephalogramDetector(overlays=args.config)
    if seen := weights.training_figures_note(detector.used_weights, "isbi2015", args.split):
        print(f"**{seen}**\n")
    print(
        "| | films | MRE mm | within 2 mm % | inside 90 % | per landmark | inside 95 % | median radius 90, mm | "
        "AUC > 4 mm | missing % | uncertain % | > 10 mm and ok % |\n|" + "---|" * 12
    )
    print_row("no profile", films, [detector(film.image, force=True) for film in films])
    random = np.random.default_rng(0)
    for count in args.films:
        order = random.permutation(len(films))
        drawn, others = [films[index] for index in order[:count]], [films[index] for index in order[count:]]
        profile, _ = learn(drawn, detector, f"{count} films", None, lambda film: None)
        taught = CephalogramDetector(overlays=args.config, profile=profile)
        print_row(f"profile of {count} films", others, [taught(film.image, force=True) for film in others])
    model = detector.identity
    print(
        f"\n{datetime.now(timezone.utc):%Y-%m-%d}, {args.split}, ground truth {args.truth}, {model.name} "
        f"{model.version}, weights {model.weights_sha256[:12]}"
    )


if __name__ == "__main__":
    main()
