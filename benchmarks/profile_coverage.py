"""How often a clinic's own point lies within the radius, against the number of films that its profile is learned from.

``python benchmarks/profile_coverage.py ISBI2015/ --evidence runs/evidence.npz --global-weights 'runs/G{fold}/final.pt'
--local-weights ... --context-weights ...`` takes networks that have not seen the films of the fold, and what
``error_model.py`` saw with them on these films. The senior's and the junior's points are two clinics, whose definitions
are not those that the error model was learned on, the mean of both. Films are drawn at random, many times; a profile is
learned from those drawn, and its radii are judged on all others. The error model that judges a film was learned on
other fifths of the films. It detects once and keeps the detections in ``--points``, a folder. Test films are not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from error_model import FIFTHS, PLAIN, Evidence, fifth_of, learn
from fold import of_fold
from profiles import detected, residuals

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, split_fold
from monai_ceph.datasets.film import GroundTruth
from monai_ceph.profiles.learn import Comparison, profile_of
from monai_ceph.result import Detection, ModelIdentity

CLINICS: tuple[GroundTruth, ...] = ("senior", "junior")
IDENTITY = ModelIdentity(name="half", version="0", weights_sha256="0" * 64, recipe_sha256="0" * 64, software="none")


def radii_of_others(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return radii (films, 19, 2) as shares of the head's radius, and those of the usual evidence, by cross-fitting."""
    plain = evidence.of(evidence.kind == PLAIN)
    radii, typical = (np.zeros((*plain.errors.shape, 2)) for _ in range(2))
    for fifth in range(FIFTHS):
        mine = fifth_of(plain) == fifth
        model = learn(evidence.of(fifth_of(evidence) != fifth))
        factors = np.stack([model["within_90"], model["within_95"]], axis=1)
        sizes = np.array(model["scales"]) * np.exp(plain.features[mine] @ np.array(model["slopes"]))
        radii[mine] = sizes[..., None] * factors
        typical[mine] = (np.array(model["scales"]) * np.exp(model["usual"]))[:, None] * factors
    return radii, typical


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--evidence", type=Path, required=True, help="file of error_model.py")
    parser.add_argument("--fold", type=int, default=0, help="held out by the networks (default: 0)")
    parser.add_argument("--folds", type=int, default=2, help="number of folds, by seed 0 (default: 2)")
    parser.add_argument(
        "--films", type=int, nargs="+", default=[3, 5, 10, 15, 19, 20, 40], help="numbers to learn from"
    )
    parser.add_argument("--draws", type=int, default=40, help="random draws per number")
    parser.add_argument("--points", type=Path, default=Path("runs/profile_coverage"), help="where detections are kept")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", required=True, help="of networks that did not see the fold")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = dict(np.load(options.evidence))
    kept.pop("shift", None)
    others, typical = radii_of_others(Evidence(**kept))
    settings = of_fold(
        {f"{name}_weights": getattr(options, f"{name}_weights") for name in weights.STAGES}, options.fold
    )
    settings |= {"error_model": None, "missing_below": 0.0}
    detections: list[Detection] = []
    print("| clinic | films | error, mm | inside 90 % | per landmark | draws | inside 95 % | median radius 90, mm |")
    print("|---|---|---|---|---|---|---|---|")
    for clinic in CLINICS:
        films = split_fold(isbi2015(options.dataset, "train", clinic), options.fold, options.folds, 0)[1]
        detections = detections or detected(films, options.points, None, settings)
        steps, heads = residuals(films, detections)
        random = np.random.default_rng(0)
        for count in [0, *options.films]:
            rows = [_draw(random, count, steps, heads, others, typical) for _ in range(options.draws if count else 1)]
            errors, radii = (np.stack(each) for each in zip(*rows, strict=True))
            inside = [errors <= radii[..., index] for index in (0, 1)]
            each = 100 * inside[0].mean(axis=(0, 1))
            draws = 100 * inside[0].mean(axis=(1, 2))
            low, high = np.quantile(draws, [0.05, 0.95])
            print(
                f"| {clinic} | {count} | {errors.mean():.3f} | {100 * inside[0].mean():.1f} | "
                f"{each.min():.1f}, {each.max():.1f} | {low:.1f}, {high:.1f} | {100 * inside[1].mean():.1f} | "
                f"{np.median(radii[..., 0]):.2f} |",
                flush=True,
            )


def _draw(
    random: np.random.Generator,
    count: int,
    steps: np.ndarray,
    heads: np.ndarray,
    others: np.ndarray,
    typical: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return errors (films, 19) and radii (films, 19, 2) in mm on the films that a profile was not learned from."""
    order = random.permutation(len(steps))
    drawn, left = order[:count], order[count:]
    offsets, radii = np.zeros(steps.shape[1:]), others[left] * heads[left, None, None]
    if count:
        found = Comparison(steps[drawn], heads[drawn], tuple(f"{index:016x}" for index in drawn))
        profile = profile_of(found, IDENTITY, f"{count} films")
        offsets = profile.offsets()
        pairs = [(others[film] * heads[film], typical[film] * heads[film], heads[film]) for film in left]
        radii = np.stack([profile.radii_on_film(*pair)[0] for pair in pairs])
    return np.linalg.norm(steps[left] - offsets, axis=2) * heads[left, None], radii


if __name__ == "__main__":
    main()
