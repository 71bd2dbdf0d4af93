"""Whether more than an offset per landmark is worth learning from a clinic's corrected films.

``python benchmarks/profile_forms.py ISBI2015/`` compares on the training films, with the senior's and the junior's
points as two clinics: what a profile is (robust offsets that are tested and shrunk), the mean of the corrections, a
linear map of each landmark on its own place, and a ridge on the shape (corrections as a linear function of where all
landmarks lie). The strength of the ridge is chosen within the drawn films by leave-one-out. Films are drawn at random;
the error is that of leave-one-out within those drawn. It uses the detections that ``benchmarks/profiles.py`` keeps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from profiles import TRAINING_FIGURES, detected, residuals

from monai_ceph import weights
from monai_ceph.datasets import open_dataset
from monai_ceph.profiles.estimate import estimate
from monai_ceph.profiles.frame import head_frame
from monai_ceph.result import Detection

Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Corrections (L, 2) of a film of this shape (L, 2), from shapes and corrections of other films."""

_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def shapes(detections: list[Detection]) -> np.ndarray:
    """Return where the landmarks lie in the frame of the head, (films, 19, 2); a missing one lies at its mean."""
    mean = np.array(weights.mean_shape())[:, ::-1]
    found = []
    for detection in detections:
        points = detection.points()
        frame = head_frame(points, mean)
        assert frame is not None, detection.file
        found.append(frame.to_head(points - np.nanmean(points, axis=0)))
    every = np.array(found)
    return np.where(np.isnan(every), np.nanmean(every, axis=0), every)


def profile(shape: np.ndarray, others: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """What a profile does."""
    return estimate(steps).offsets


def plain_mean(shape: np.ndarray, others: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The mean correction of each landmark."""
    return np.nan_to_num(np.nanmean(steps, axis=0))


def linear_map(shape: np.ndarray, others: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Each landmark's correction as a linear function of its own place (2 x 2 and an offset), by least squares."""
    result = np.zeros(shape.shape)
    for mark in range(len(shape)):
        known = np.isfinite(steps[:, mark]).all(axis=1)
        if known.any():
            places = others[known, mark] - others[known, mark].mean(axis=0)
            design = np.column_stack([np.ones(known.sum()), places])
            fitted = np.linalg.lstsq(design, steps[known, mark], rcond=None)[0]
            result[mark] = np.concatenate([[1.0], shape[mark] - others[known, mark].mean(axis=0)]) @ fitted
    return result


def _kernel_weights(features: np.ndarray, strength: float) -> np.ndarray:
    kernel = features @ features.T
    return np.asarray(np.linalg.inv(kernel + strength * np.trace(kernel) / len(kernel) * np.eye(len(kernel))))


def ridge(shape: np.ndarray, others: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The mean correction, and a ridge regression of the rest on the places of all landmarks."""
    middle = np.nan_to_num(np.nanmean(steps, axis=0))
    rest = np.nan_to_num(steps - middle).reshape(len(steps), -1)
    centre = others.mean(axis=0)
    features = (others - centre).reshape(len(others), -1)
    best, errors = _STRENGTHS[-1], np.inf
    for strength in _STRENGTHS:
        inverse = _kernel_weights(features, strength)
        # leave-one-out residuals of a ridge in closed form
        left = (inverse @ rest) / np.diag(inverse)[:, None]
        if (total := float(np.linalg.norm(left.reshape(steps.shape), axis=2).mean())) < errors:
            best, errors = strength, total
    row = (shape - centre).reshape(-1) @ features.T
    moved: np.ndarray = middle + (row @ _kernel_weights(features, best) @ rest).reshape(shape.shape)
    return moved


FORMS: dict[str, Predictor] = {
    "profile (robust, tested, shrunk offset)": profile,
    "mean offset": plain_mean,
    "linear map per landmark": linear_map,
    "mean offset and ridge on the shape": ridge,
}


def leave_one_out(form: Predictor, shape: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the distances (films, L) that are left on each film, with what the other films teach."""
    left = np.empty(steps.shape[:2])
    for film in range(len(steps)):
        predicted = form(shape[film], np.delete(shape, film, axis=0), np.delete(steps, film, axis=0))
        left[film] = np.linalg.norm(steps[film] - predicted, axis=1)
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--films", type=int, nargs="+", default=[5, 10, 20], help="numbers to learn from")
    parser.add_argument("--draws", type=int, default=30, help="random draws per number")
    parser.add_argument("--points", type=Path, default=Path("runs/profiles"), help="where detections are kept")
    parser.add_argument("--device")
    options = parser.parse_args()
    print(TRAINING_FIGURES)
    print("| clinic | films | " + " | ".join(FORMS) + " |")
    print("|---|---|" + "---|" * len(FORMS))
    detections: list[Detection] = []
    for clinic in ("senior", "junior"):
        films = open_dataset(options.dataset, "train", clinic)
        detections = detections or detected(films, options.points / "train", options.device)
        steps, radii = residuals(films, detections)
        shape = shapes(detections)
        plain = float(np.nanmean(np.linalg.norm(steps, axis=2) * radii[:, None]))
        for count in options.films:
            random = np.random.default_rng(0)
            changes = []
            for _ in range(options.draws):
                drawn = random.permutation(len(films))[:count]
                before = np.nanmean(np.linalg.norm(steps[drawn], axis=2) * radii[drawn, None])
                left = [leave_one_out(form, shape[drawn], steps[drawn]) for form in FORMS.values()]
                changes.append([float(np.nanmean(each * radii[drawn, None]) - before) for each in left])
            errors = plain + np.mean(changes, axis=0)
            print(f"| {clinic} | {count} | " + " | ".join(f"{error:.3f}" for error in errors) + " |", flush=True)


if __name__ == "__main__":
    main()
