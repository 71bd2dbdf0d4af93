"""Learns the error model that ships with the weights, ``monai_ceph/weights/errors.json``, and says how well it holds.

``python benchmarks/error_model.py ISBI2015/ --folds 2 --fold 0 1 --global-weights 'runs/G{fold}/final.pt'
--local-weights ... --context-weights ... --evidence runs/evidence.npz`` detects on the films that each fold holds out,
as they are, with landmarks hidden, and changed like films of other devices (stresses.py), and keeps what it saw. Give
networks that were not trained on the fold. With ``--evidence`` of an earlier run and no weights, it does not detect.

Tables are by cross-fitting: for each fifth of the films, the model is learned on the others. ``--write FILE`` then
learns it on all of them. The features are those of :mod:`monai_ceph.inferers.evidence`. ``--landmark-errors FILE``
renews the errors of points without radii, ``monai_ceph/analysis/landmark_errors.json``, by the same films.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fold import of_fold
from monai.data import MetaTensor
from scipy.optimize import minimize
from stress import HIDDEN_RADIUS, area_under_curve, sample_of
from stresses import STRESSES, Sample

from monai_ceph import weights
from monai_ceph.datasets import Film, isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.inferers.evidence import CLOSE, FEATURES, ShapeModel, landmark_evidence
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles.radii import conformal_radius
from monai_ceph.transforms import landmarks_to_source
from monai_ceph.transforms.geometry import apply, fit_similarity, pixel_size

SHAPE_NOISE = 0.03
# a point is too far from where the others tell if it is farther than the farthest one here, and a quarter more
SHAPE_MARGIN = 1.25
GROSS, OFF = 10.0, 4.0
PLAIN, HIDDEN, STRESSED = 0, 1, 2
VISIBLE, GONE, NEAR = 0, 1, 2
FIFTHS = 5
# pull of a landmark's scale to the mean of all, and of the slopes to 0
RIDGE = 1.0
# share of the visible landmarks that may be called missing
VISIBLE_MISSING = 0.005


@dataclass
class Evidence:
    """What was seen: one row per detection. ``kind``: of the film; ``state``: of each landmark.

    Attributes:
        film: (D,) number of the film.
        kind: (D,) PLAIN, HIDDEN or STRESSED.
        features: (D, 19, 6); NaN where there is no heatmap.
        errors: (D, 19) mm; NaN where there is no point or the landmark is not on the film.
        radius: (D,) of the head in mm.
        state: (D, 19) VISIBLE, GONE, or NEAR to what was hidden.
    """

    film: np.ndarray
    kind: np.ndarray
    features: np.ndarray
    errors: np.ndarray
    radius: np.ndarray
    state: np.ndarray

    def of(self, rows: np.ndarray) -> Evidence:
        """Return some of the detections."""
        return Evidence(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def shape_covariance(films: list[Film], mean: np.ndarray) -> np.ndarray:
    """Return the covariance of the landmarks around the mean shape, (38, 38), in squared shares of its radius."""
    centred = mean - mean.mean(axis=0)
    model = torch.from_numpy(centred / np.sqrt((centred**2).sum(axis=1).mean()))
    shifts = []
    for film in films:
        found = torch.from_numpy(film.landmarks)
        shifts.append((apply(torch.linalg.inv(fit_similarity(model, found)), found) - model).numpy().ravel())
    return np.cov(np.array(shifts).T)


def features_of(detector: CephalogramDetector, sample: Sample, spacing: float, shape: ShapeModel) -> dict[str, Any]:
    """Return the evidence for the landmarks of one film, and their errors in mm of the untouched film."""
    pixels = MetaTensor(torch.from_numpy(np.ascontiguousarray(sample.pixels))[None], affine=torch.eye(3).double())
    found = detector.inferer.detect(detector._frame({"image": pixels})["image"], detector.network)
    points = detector._decode(found.windows.heatmaps) + found.windows.starts
    trust = found.windows.heatmaps.flatten(1).amax(dim=1).double().clamp(min=1e-6).sqrt().numpy()
    radius = detector.inferer.pose.frame.radius
    features = landmark_evidence(
        *(found.windows, points, found.guide.landmarks, found.guide.peaks),
        *(shape.expected(points.numpy(), trust), radius),
    )
    places = landmarks_to_source(points, found.film.affine)
    off = (apply(sample.to_source, places) - apply(sample.to_source, torch.from_numpy(sample.landmarks))).norm(dim=1)
    size = radius * pixel_size(found.film.affine) * pixel_size(sample.to_source)
    return {"features": features, "errors": off.numpy() * spacing, "radius": size * spacing}


def hidden(film: Film, sample: Sample, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
    """Return the film with the surroundings of one or two landmarks blanked, or a side cropped away, and the states."""
    radius, marks = HIDDEN_RADIUS / film.pixel_spacing, film.landmarks
    pixels, state = sample.pixels.copy(), np.full(len(marks), VISIBLE)
    chosen = [int(rng.integers(len(marks)))]
    apart = np.abs(marks - marks[chosen[0]]).max(axis=1)
    if rng.random() < 0.5:
        chosen += rng.choice(np.flatnonzero(apart > 4 * radius), 1).tolist()
        for index in chosen:
            row, column = marks[index]
            area = pixels[max(round(row - radius), 0) : round(row + radius), :]
            area = area[:, max(round(column - radius), 0) : round(column + radius)]
            area[...] = area.mean()
        near = np.min([np.abs(marks - marks[index]).max(axis=1) for index in chosen], axis=0)
        state[near < 1.5 * radius] = NEAR
        state[chosen] = GONE
        return Sample(pixels, sample.landmarks, sample.to_source), state
    (row, column), (rows, columns) = marks[chosen[0]], pixels.shape
    depth = {"top": row, "bottom": rows - row, "left": column, "right": columns - column}
    half = radius / 2
    match min(depth, key=lambda side: depth[side]):
        case "top":
            pixels[: round(row + half)], depths = 0, marks[:, 0] - row
        case "bottom":
            pixels[round(row - half) :], depths = 0, row - marks[:, 0]
        case "left":
            pixels[:, : round(column + half)], depths = 0, marks[:, 1] - column
        case _:
            pixels[:, round(column - half) :], depths = 0, column - marks[:, 1]
    state[depths < 1.5 * radius] = NEAR
    state[depths < 0] = GONE
    state[chosen[0]] = GONE
    return Sample(pixels, sample.landmarks, sample.to_source), state


def gather(args: argparse.Namespace) -> Evidence:
    """Detect on the held-out films of every fold."""
    rows: dict[str, list[Any]] = {name: [] for name in Evidence.__dataclass_fields__}
    number = 0
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    for fold in args.fold:
        seen, held_out = split_fold(isbi2015(args.dataset, "train"), fold, args.folds, 0)
        detector = CephalogramDetector(overrides={**of_fold(given, fold), "missing_below": 0.0})
        mean = detector._mean_shape
        shape = ShapeModel(mean, shape_covariance(seen, mean), SHAPE_NOISE)
        for film in held_out:
            rng = np.random.default_rng(1000 * fold + number)
            sample = sample_of(film)
            everything = np.full(len(SYMBOLS), VISIBLE)
            samples = [(PLAIN, sample, everything)]
            samples += [(HIDDEN, *hidden(film, sample, rng)) for _ in range(args.hidden)]
            for name in rng.choice(sorted(STRESSES), args.stressed, replace=False):
                changed = STRESSES[name](sample, rng)
                samples.append((STRESSED, changed, np.where(np.isfinite(changed.landmarks[:, 0]), VISIBLE, GONE)))
            for kind, changed, state in samples:
                seen_here = features_of(detector, changed, film.pixel_spacing, shape)
                for name, value in {"film": number, "kind": kind, "state": state, **seen_here}.items():
                    rows[name].append(value)
            number += 1
            print(f"{number} films", end="\r", flush=True)
    return Evidence(**{name: np.array(values) for name, values in rows.items()})


def shift(args: argparse.Namespace) -> np.ndarray:
    """Return what the evidence of the shipped networks lacks, (19, 6): they are surer than those of the folds.

    That is the median over films that both were trained on. So the step from seen to new films is taken to be the same
    for both.
    """
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    shipped = {f"{name}_weights": weights.path(name) for name in weights.STAGES}
    apart = []
    for fold in args.fold:
        seen, _ = split_fold(isbi2015(args.dataset, "train"), fold, args.folds, 0)
        medians = []
        for used in (of_fold(given, fold), shipped):
            detector = CephalogramDetector(overrides={**used, "error_model": None, "missing_below": 0.0})
            shape = ShapeModel(detector._mean_shape, shape_covariance(seen, detector._mean_shape), SHAPE_NOISE)
            rows = [features_of(detector, sample_of(film), film.pixel_spacing, shape)["features"] for film in seen]
            medians.append(np.nanmedian(np.array(rows), axis=0))
        apart.append(medians[0] - medians[1])
    return np.mean(apart, axis=0)


def shape_limit(evidence: Evidence, missing: np.ndarray, shape: ShapeModel) -> float:
    """Return how many standard deviations no landmark of a film as it is was away from its expected place."""
    # the mean shape has a radius of 1, so these are shares of the head's radius
    _, deviations = shape.spread(shape.mean, np.ones(len(shape.mean)))
    apart = np.exp(evidence.features[..., FEATURES.index("shape")]) - CLOSE
    seen = (evidence.kind == PLAIN)[:, None] & ~missing
    return SHAPE_MARGIN * float(np.nanmax((apart / deviations)[seen]))


def fit_sizes(features: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes (6) and the scales (19) of the expected error, by the likelihood of an exponential."""
    landmark = np.broadcast_to(np.arange(features.shape[1]), errors.shape)
    known = np.isfinite(errors) & np.isfinite(features).all(axis=2)
    x, e, which = features[known], np.maximum(errors[known], 1e-4), landmark[known]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, levels = values[: len(FEATURES)], values[len(FEATURES) :]
        eta = levels[which] + x @ slopes
        ratio = e * np.exp(-eta)
        pull = levels - levels.mean()
        value = (eta + ratio).sum() + 0.5 * RIDGE * ((pull**2).sum() + (slopes**2).sum())
        by_eta = 1 - ratio
        by_level = np.bincount(which, by_eta, len(levels)) + RIDGE * (pull - pull.mean())
        return value, np.concatenate([x.T @ by_eta + RIDGE * slopes, by_level])

    start = np.zeros(len(FEATURES) + features.shape[1])
    bounds = [(0, None)] * len(FEATURES) + [(None, None)] * features.shape[1]
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000}).x
    return best[: len(FEATURES)], np.exp(best[len(FEATURES) :])


def fit_hidden(features: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, float]:
    """Return slopes, not negative, and bias of a logistic regression of what is hidden; its limit is then moved."""
    share = np.where(gone, 0.5 / gone.mean(), 0.5 / (1 - gone.mean()))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        eta = values[0] + features @ values[1:]
        value = (share * (np.logaddexp(0, eta) - gone * eta)).sum() + 0.5 * RIDGE * (values[1:] ** 2).sum()
        by_eta = share * (1 / (1 + np.exp(-eta)) - gone)
        return value, np.concatenate([[by_eta.sum()], features.T @ by_eta + RIDGE * values[1:]])

    bounds = [(None, None)] + [(0, None)] * features.shape[1]
    best = minimize(loss, np.zeros(1 + features.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    visible = best[1:] @ features[~gone].T
    return best[1:], -float(np.quantile(visible, 1 - VISIBLE_MISSING))


def learn(evidence: Evidence) -> dict[str, Any]:
    """Return the error model, without the shape."""
    plain = evidence.of(evidence.kind == PLAIN)
    shares = plain.errors / plain.radius[:, None]
    slopes, scales = fit_sizes(plain.features, shares)
    # the exponential's mean is pulled by few large errors: conformal factors say how far the radii must reach
    sizes = scales * np.exp(plain.features @ slopes)
    ratio = shares / sizes
    within = {
        f"within_{percent}": [conformal_radius(column[np.isfinite(column)], percent / 100) for column in ratio.T]
        for percent in (90, 95)
    }
    known = np.isfinite(evidence.features).all(axis=2) & (evidence.state != NEAR) & (evidence.kind != STRESSED)[:, None]
    hidden_slopes, bias = fit_hidden(evidence.features[known], evidence.state[known] == GONE)
    return {
        "features": list(FEATURES),
        "slopes": slopes.tolist(),
        "scales": scales.tolist(),
        "usual": np.nanmedian(plain.features @ slopes, axis=0).tolist(),
        **within,
        "hidden": {"bias": bias, "slopes": hidden_slopes.tolist()},
        "head_radius_mm": float(np.median(plain.radius)),
    }


def judge(model: dict[str, Any], evidence: Evidence) -> dict[str, np.ndarray]:
    """Return radii in mm for 90 and 95 %, and what is called missing, for each detection and landmark."""
    sizes = np.array(model["scales"]) * np.exp(evidence.features @ np.array(model["slopes"]))
    score = model["hidden"]["bias"] + evidence.features @ np.array(model["hidden"]["slopes"])
    return {
        "radius_90": sizes * np.array(model["within_90"]) * evidence.radius[:, None],
        "radius_95": sizes * np.array(model["within_95"]) * evidence.radius[:, None],
        "missing": ~(score <= 0),
    }


def renew_landmark_errors(evidence: Evidence, file: Path) -> None:
    """Write mean and standard deviation of each landmark's error in mm on the films as they are into the file."""
    errors = evidence.errors[evidence.kind == PLAIN]
    figures = json.loads(file.read_text(encoding="utf-8"))
    pairs = zip(errors.mean(axis=0), errors.std(axis=0, ddof=1), strict=True)
    figures["detected"] = {
        symbol: [round(float(each), 2) for each in pair] for symbol, pair in zip(SYMBOLS, pairs, strict=True)
    }
    file.write_text(compact(figures), encoding="utf-8")


def compact(data: dict[str, Any]) -> str:
    """Return JSON with a list of numbers on one line."""
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda each: f"[{' '.join(each[1].split())}]", text) + "\n"


def fifth_of(evidence: Evidence) -> np.ndarray:
    """Return the fifth of each detection, (D,): all detections of a film are in one."""
    films = np.random.default_rng(0).permutation(evidence.film.max() + 1)
    fifths: np.ndarray = np.argsort(films)[evidence.film] % FIFTHS
    return fifths


def cross_fitted(evidence: Evidence) -> dict[str, np.ndarray]:
    group = fifth_of(evidence)
    found: dict[str, np.ndarray] = {}
    for fifth in range(FIFTHS):
        mine = group == fifth
        for name, values in judge(learn(evidence.of(~mine)), evidence.of(mine)).items():
            found.setdefault(name, np.zeros(evidence.errors.shape, values.dtype))[mine] = values
    return found


def print_tables(evidence: Evidence, found: dict[str, np.ndarray]) -> None:
    plain = evidence.kind == PLAIN
    errors = evidence.errors[plain]
    known = np.isfinite(errors)
    print(
        "| | films | MRE mm | inside 90 % | per landmark | inside 95 % | median radius 90, mm | AUC > 4 mm |",
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, kind in (("as they are", PLAIN), ("stressed", STRESSED)):
        rows = evidence.kind == kind
        off, seen = evidence.errors[rows], np.isfinite(evidence.errors[rows]) & (evidence.state[rows] == VISIBLE)
        inside = {p: off <= found[f"radius_{p}"][rows] for p in (90, 95)}
        each = [100 * inside[90][:, k][seen[:, k]].mean() for k in range(off.shape[1])]
        auc = area_under_curve(-found["radius_90"][rows][seen], off[seen] > OFF)
        print(
            f"| {name} | {rows.sum()} | {off[seen].mean():.3f} | {100 * inside[90][seen].mean():.1f} | "
            f"{min(each):.1f}, {max(each):.1f} | {100 * inside[95][seen].mean():.1f} | "
            f"{np.median(found['radius_90'][rows][seen]):.2f} | {auc:.3f} |"
        )
    by_score = area_under_curve(-evidence.features[plain][..., 0][known], errors[known] > OFF)
    print(f"\nAUC by the heatmaps' maxima alone: {by_score:.3f}")
    missing = found["missing"]
    print("\n| | called missing % | n |\n|---|---|---|")
    for name, rows in (
        ("visible, films as they are", plain[:, None] & (evidence.state == VISIBLE)),
        ("visible, on films with hidden ones", (evidence.kind == HIDDEN)[:, None] & (evidence.state == VISIBLE)),
        ("visible, stressed", (evidence.kind == STRESSED)[:, None] & (evidence.state == VISIBLE)),
        ("hidden", (evidence.kind == HIDDEN)[:, None] & (evidence.state == GONE)),
    ):
        print(f"| {name} | {100 * missing[rows].mean():.2f} | {rows.sum()} |")
    print("\n| uncertain above, mm | uncertain % | of errors > 4 mm | gross (> 10 mm) and ok % | n gross |")
    print("|---|---|---|---|---|")
    rows = ((evidence.kind == PLAIN) | (evidence.kind == STRESSED))[:, None] & (evidence.state == VISIBLE) & ~missing
    rows &= np.isfinite(evidence.errors)
    off, radius = evidence.errors[rows], found["radius_90"][rows]
    for limit in (3.0, 4.0, 5.0, 6.0, 8.0):
        flagged = radius > limit
        print(
            f"| {limit:g} | {100 * flagged.mean():.1f} | {100 * flagged[off > OFF].mean():.1f} | "
            f"{100 * ((off > GROSS) & ~flagged).mean():.3f} | {(off > GROSS).sum()} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument(
        "--evidence", type=Path, required=True, help="file of what was seen; read if no weights are given"
    )
    parser.add_argument("--fold", type=int, nargs="+", default=[0], help="held out; several are pooled (default: 0)")
    parser.add_argument("--folds", type=int, default=2, help="number of folds, by seed 0 (default: 2)")
    parser.add_argument(
        "--hidden", type=int, default=6, help="times that landmarks of each film are hidden (default: 6)"
    )
    parser.add_argument("--stressed", type=int, default=3, help="changes of each film (default: 3)")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="of networks that did not see the fold")
    parser.add_argument("--write", type=Path, help="write the model here, learned on all films")
    parser.add_argument("--landmark-errors", type=Path, help="file with errors of landmarks to renew, without radii")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.global_weights:
        evidence, moved = gather(args), shift(args)
        args.evidence.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(args.evidence, shift=moved, **vars(evidence))
    else:
        kept = dict(np.load(args.evidence))
        moved, evidence = kept.pop("shift"), Evidence(**kept)
    found = cross_fitted(evidence)
    print_tables(evidence, found)
    if args.write:
        films = isbi2015(args.dataset, "train")
        held_out = len(set(evidence.film.tolist()))
        mean = np.array(weights.mean_shape())
        covariance = shape_covariance(films, mean)
        shape = ShapeModel(mean, covariance, SHAPE_NOISE)
        model = {
            "learned_on": f"{held_out} of the 150 training films of ISBI 2015, by networks that did not see them",
            **learn(evidence),
            "shift": moved.tolist(),
            "shape_limit": shape_limit(evidence, found["missing"], shape),
            "shape_noise": SHAPE_NOISE,
            "shape_covariance": covariance.tolist(),
        }
        text = json.dumps(model, default=float)
        rounded = json.loads(text, parse_float=lambda each: float(f"{float(each):.4g}"))
        args.write.write_text(compact(rounded), encoding="utf-8")
    if args.landmark_errors:
        renew_landmark_errors(evidence, args.landmark_errors)


if __name__ == "__main__":
    main()
