"""How well the radii rank the errors, how well they could, and how many errors are the doctors' own disagreement.

``python benchmarks/error_ranking.py ISBI2015/ --evidence runs/evidence.npz`` takes what ``error_model.py`` saw on the
films of the fold as they are, with the same ``--fold`` and ``--folds``. Radii are cross-fitted, as there. The first
table has the area under the curve of the radii for errors above some lengths, with the standard error over films, and
what radii would have from which the errors were drawn: the errors are drawn many times as a radius times a ratio of
error to radius, of any landmark of any film. The second table has the errors by how far the doctors are apart, after
the median difference between them is taken from each landmark.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from error_model import PLAIN, Evidence, cross_fitted
from stress import area_under_curve

from monai_ceph.datasets import Film, isbi2015, split_fold

LIMITS = (2.0, 3.0, 4.0)
DRAWS = 1000
# mm between both doctors
APART = (0.0, 1.0, 2.0, 4.0, np.inf)


def doctors_apart(films: list[Film]) -> np.ndarray:
    """Return (films, N) mm between both doctors, without the median difference of each landmark."""
    steps = []
    for film in films:
        pair = film.annotators()
        if pair is None:
            raise SystemExit(f"{film.name} has no points of two doctors")
        steps.append((pair[0] - pair[1]) * film.pixel_spacing)
    apart: np.ndarray = np.linalg.norm(np.array(steps) - np.median(steps, axis=0), axis=2)
    return apart


def over_films(radii: np.ndarray, errors: np.ndarray, limit: float, random: np.random.Generator) -> float:
    """Return the standard error of the area under the curve, by drawing films with replacement."""
    found = []
    for _ in range(DRAWS):
        films = random.integers(len(errors), size=len(errors))
        found.append(area_under_curve(-radii[films].ravel(), errors[films].ravel() > limit))
    return float(np.nanstd(found))


def drawn(radii: np.ndarray, errors: np.ndarray, limit: float, random: np.random.Generator) -> tuple[float, float]:
    """Return mean and standard deviation of the area under the curve, if the radii were all that errors depend on."""
    ratios = (errors / radii).ravel()
    found = []
    for _ in range(DRAWS):
        wrong = radii.ravel() * random.permutation(ratios) > limit
        found.append(area_under_curve(-radii.ravel(), wrong))
    return float(np.mean(found)), float(np.std(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--evidence", type=Path, required=True, help="file of error_model.py, with the same folds")
    parser.add_argument("--fold", type=int, nargs="+", default=[0], help="held out; several are pooled (default: 0)")
    parser.add_argument("--folds", type=int, default=2, help="number of folds, by seed 0 (default: 2)")
    args = parser.parse_args()
    kept = dict(np.load(args.evidence))
    kept.pop("shift")
    evidence = Evidence(**kept)
    plain = evidence.kind == PLAIN
    films = [film for fold in args.fold for film in split_fold(isbi2015(args.dataset, "train"), fold, args.folds, 0)[1]]
    if plain.sum() != len(films):
        raise SystemExit(f"the evidence is of {plain.sum()} films, and the folds have {len(films)}")
    errors, radii = evidence.errors[plain], cross_fitted(evidence)["radius_90"][plain]
    apart = doctors_apart(films)
    random = np.random.default_rng(0)
    print("| errors above, mm | n | AUC ± standard error | AUC ± SD, errors drawn from the radii |\n|---|---|---|---|")
    for limit in LIMITS:
        auc = area_under_curve(-radii.ravel(), errors.ravel() > limit)
        error, (mean, deviation) = over_films(radii, errors, limit, random), drawn(radii, errors, limit, random)
        print(
            f"| {limit:g} | {(errors > limit).sum()} | {auc:.3f} ± {error:.3f} | {mean:.3f} ± {deviation:.3f} |",
            flush=True,
        )
    print(f"\n| doctors apart, mm | points | MRE mm | {' | '.join(f'> {limit:g} mm' for limit in LIMITS)} |")
    print(f"|---|---|---{'|---' * len(LIMITS)}|")
    for low, high in pairwise(APART):
        rows = (apart >= low) & (apart < high)
        label = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} or more"
        counts = " | ".join(str((errors[rows] > limit).sum()) for limit in LIMITS)
        print(f"| {label} | {rows.sum()} | {errors[rows].mean():.2f} | {counts} |")


if __name__ == "__main__":
    main()
