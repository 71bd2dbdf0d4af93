"""Accuracy on changed films, like those of other devices, and how well the scores tell wrong landmarks.

``python benchmarks/stress.py ISBI2015/ --global-weights G --local-weights L --context-weights C`` changes the films of
a fold in many ways (stresses.py) and prints a row per change. Test films are not used. The shipped weights were trained
on the fold: give networks that were not. Errors are in mm of the unchanged film, over the visible landmarks;
``--landmarks Po`` shows those of Porion only. ``--styles`` takes only the styles of other machines. With ``--hide``,
the surroundings of each landmark are blanked or cropped instead, and points on hidden ones are counted. With
``--cover``, grey squares of several sizes cover landmarks, which lie anywhere under them.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from fold import TRAINING_FIGURES, assignment, trained_on_the_films
from stresses import STRESSES, Sample

from monai_ceph import weights
from monai_ceph.datasets import Film, isbi2015, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import RejectedError
from monai_ceph.landmarks import LANDMARKS, SYMBOLS, index_of
from monai_ceph.readers import Radiograph, read_radiograph
from monai_ceph.transforms.geometry import apply

GROSS = 10.0
OFF = 4.0
# mm around a landmark that are blanked by --hide
HIDDEN_RADIUS = 12.0
# of --cover: half the side of a square, mm; how deep a landmark lies under it at least, mm; squares of each film
COVER_HALF = (8.0, 16.0)
COVER_DEPTH = 4.0
COVERS = 5
STYLED = {"untouched", *(label for label in STRESSES if label.startswith("style: "))}


@dataclass
class Found:
    """Per film and landmark: error in mm (NaN if not visible, infinite if missing), score, status."""

    errors: np.ndarray
    scores: np.ndarray
    status: np.ndarray
    rejected: int
    seconds: float


def sample_of(film: Film) -> Sample:
    pixels = read_radiograph(film.image).pixels
    low, high = float(pixels.min()), float(pixels.max())
    scaled = ((pixels - low) / (high - low)).astype(np.float32)
    return Sample(scaled, film.landmarks.copy(), torch.eye(3, dtype=torch.float64))


def detect(
    detector: CephalogramDetector, film: Film, sample: Sample
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool, float]:
    radiograph = Radiograph(sample.pixels, Path(film.name))
    try:
        detection, rejected = detector(radiograph), False
    except RejectedError:
        detection, rejected = detector(radiograph, force=True), True
    # (x, y) to (row, column)
    points = apply(sample.to_source, torch.from_numpy(detection.points()).flip(1)).numpy()
    errors = np.linalg.norm(points - film.landmarks, axis=1) * film.pixel_spacing
    errors = np.where(np.isnan(detection.points()).any(axis=1), np.inf, errors)
    errors = np.where(np.isnan(sample.landmarks).any(axis=1), np.nan, errors)
    scores = np.array([mark.score for mark in detection.landmarks])
    status = np.array([mark.status for mark in detection.landmarks])
    return errors, scores, status, rejected, sum(detection.seconds.values())


def run(detector: CephalogramDetector, films: list[Film], label: str) -> Found:
    rows = []
    for film in films:
        # the same noise for a film in every run
        rng = np.random.default_rng(zlib.crc32(f"{label} {film.name}".encode()))
        rows.append(detect(detector, film, STRESSES[label](sample_of(film), rng)))
    errors, scores, status, rejected, seconds = zip(*rows, strict=True)
    return Found(np.stack(errors), np.stack(scores), np.stack(status), sum(rejected), float(np.median(seconds)))


def of_landmarks(found: Found, columns: list[int]) -> Found:
    parts = {name: getattr(found, name)[:, columns] for name in ("errors", "scores", "status")}
    return replace(found, **parts)


def area_under_curve(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Return the probability that a wrong landmark has a lower score than a right one."""
    low, high = scores[wrong], scores[~wrong]
    if not len(low) or not len(high):
        return float("nan")
    return float(np.mean((low[:, None] < high) + 0.5 * (low[:, None] == high)))


def print_row(label: str, found: Found, base: float) -> None:
    seen = ~np.isnan(found.errors)
    errors, scores = found.errors[seen], found.scores[seen]
    known = np.isfinite(errors)
    mre = errors[known].mean()
    # adding 0 turns -0 into 0
    cost = f"{round(100 * (mre / base - 1)) + 0} %" if base else ""
    cells = (
        f"{seen.sum()} | {mre:.3f} | {cost} | {100 * (errors <= 2).mean():.1f} | "
        f"{100 * (errors[known] > GROSS).mean():.2f} | {100 * (~known).mean():.2f} | {found.rejected} | "
        f"{area_under_curve(scores, errors > OFF):.3f} | {found.seconds:.2f}"
    )
    print(f"| {label} | {cells} |", flush=True)


def print_status(found: list[Found]) -> None:
    errors = np.concatenate([each.errors.ravel() for each in found])
    status = np.concatenate([each.status.ravel() for each in found])
    scores = np.concatenate([each.scores.ravel() for each in found])
    seen = ~np.isnan(errors)
    wrong = errors > OFF
    print(
        f"\n{seen.sum()} visible landmarks, {wrong[seen].sum()} of them off by more than {OFF:g} mm or missing; area "
    )
    print(f"under the curve of the score over all of them {area_under_curve(scores[seen], wrong[seen]):.3f}\n")
    print("| status | share of the visible % | off by more than 4 mm % | of all those off, caught % |")
    print("|---|---|---|---|")
    for name in ("ok", "uncertain", "missing"):
        mine = seen & (status == name)
        share = 100 * wrong[mine].mean() if mine.any() else float("nan")
        caught = 100 * (wrong & mine).sum() / max((wrong & seen).sum(), 1)
        print(f"| {name} | {100 * mine.sum() / seen.sum():.2f} | {share:.1f} | {caught:.1f} |")


def hide(detector: CephalogramDetector, films: list[Film]) -> None:
    print(f"Each landmark's surroundings, {HIDDEN_RADIUS:g} mm around it, blanked or cropped away:\n")
    print("| landmark | blanked, called missing % | cropped, called missing % | others called missing % | n |")
    print("|---|---|---|---|---|")
    totals = []
    for index, landmark in enumerate(LANDMARKS):
        called, cropped, others = [], [], []
        for film in films:
            sample = sample_of(film)
            radius = HIDDEN_RADIUS / film.pixel_spacing
            row, column = film.landmarks[index]
            distance = np.abs(film.landmarks - film.landmarks[index]).max(axis=1)
            far = distance > 1.5 * radius
            top, left = max(round(row - radius), 0), max(round(column - radius), 0)
            pixels = sample.pixels.copy()
            area = pixels[top : round(row + radius), left : round(column + radius)]
            area[...] = area.mean()
            status = detect(detector, film, Sample(pixels, sample.landmarks, sample.to_source))[2]
            called.append(status[index] == "missing")
            others.extend(status[far] == "missing")
            # crop the side of the film that is nearest to the landmark
            rows, columns = sample.pixels.shape
            sides = {"top": row, "bottom": rows - row, "left": column, "right": columns - column}
            pixels = sample.pixels.copy()
            match min(sides, key=lambda side: sides[side]):
                case "top":
                    pixels[: round(row + radius / 2)] = 0
                case "bottom":
                    pixels[round(row - radius / 2) :] = 0
                case "left":
                    pixels[:, : round(column + radius / 2)] = 0
                case "right":
                    pixels[:, round(column - radius / 2) :] = 0
            status = detect(detector, film, Sample(pixels, sample.landmarks, sample.to_source))[2]
            cropped.append(status[index] == "missing")
        totals.append((np.mean(called), np.mean(cropped), np.mean(others)))
        cells = " | ".join(f"{100 * value:.1f}" for value in totals[-1])
        print(f"| {landmark.number} {landmark.name} | {cells} | {len(called)} |", flush=True)
    print(f"| **all** | {' | '.join(f'{100 * value:.1f}' for value in np.mean(totals, axis=0))} | |")


def cover(detector: CephalogramDetector, films: list[Film]) -> None:
    counts: dict[str, np.ndarray] = {"covered": np.zeros(5, int), "not covered": np.zeros(5, int)}
    for number, film in enumerate(films):
        rng = np.random.default_rng(5000 + number)
        sample, marks = sample_of(film), film.landmarks
        for _ in range(COVERS):
            half = rng.uniform(*COVER_HALF) / film.pixel_spacing
            centre = marks[int(rng.integers(len(marks)))] + rng.uniform(-0.5, 0.5, 2) * half
            (top, left), (bottom, right) = (np.rint(centre + side * half).astype(int) for side in (-1, 1))
            pixels = sample.pixels.copy()
            area = pixels[max(top, 0) : bottom, max(left, 0) : right]
            low, high = np.percentile(pixels, [0.5, 99.5])
            area[...] = [area.mean(), low, high, rng.uniform(low, high)][int(rng.integers(4))]
            sides = (marks[:, 0] - top, bottom - marks[:, 0], marks[:, 1] - left, right - marks[:, 1])
            depth = np.min(sides, axis=0) * film.pixel_spacing
            errors, _, status, *_ = detect(detector, film, Sample(pixels, marks, sample.to_source))
            for name, chosen in (("covered", depth > COVER_DEPTH), ("not covered", depth < -COVER_DEPTH)):
                each = status[chosen]
                gross = (each == "ok") & (errors[chosen] > GROSS)
                kinds = [int((each == kind).sum()) for kind in ("missing", "uncertain", "ok")]
                counts[name] += [len(each), *kinds, int(gross.sum())]
    print(f"{COVERS} squares on each of {len(films)} films\n")
    print("| landmarks | n | missing % | uncertain % | ok % | ok and > 10 mm % |\n|---|---|---|---|---|---|")
    for name, (count, *kinds) in counts.items():
        print(f"| {name} | {count} | {' | '.join(f'{100 * kind / count:.2f}' for kind in kinds)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--fold", type=int, default=0, help="held out (default: 0)")
    parser.add_argument("--folds", type=int, default=5, help="how many there are, by seed 0 (default: 5)")
    parser.add_argument("--films", type=int, help="only the first so many films of the fold")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(STRESSES), help="only these changes")
    parser.add_argument("--styles", action="store_true", help="only the styles of other machines, and untouched films")
    parser.add_argument("--landmarks", nargs="+", metavar="SYMBOL", choices=SYMBOLS, help="only these landmarks")
    parser.add_argument("--hide", action="store_true", help="hide landmarks instead of changing films")
    parser.add_argument("--cover", action="store_true", help="cover landmarks by squares instead of changing films")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="KEY=VALUE", dest="settings")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="default: the shipped ones")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    films = split_fold(isbi2015(args.dataset, "train", "mean"), args.fold, args.folds, 0)[1][: args.films]
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    given = {key: file for key, file in given.items() if file}
    settings = given | dict(args.settings)
    if trained_on_the_films(args.config, settings):
        print(TRAINING_FIGURES)
    detector = CephalogramDetector("cpu", overlays=args.config, overrides=settings)
    if args.hide or args.cover:
        (hide if args.hide else cover)(detector, films)
        return
    print(f"{len(films)} films, mean of both doctors\n")
    print("| change | visible | MRE mm | cost | within 2 mm % | > 10 mm % | missing % | rejected | AUC | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    base, all_found = 0.0, []
    labels = args.only or [label for label in STRESSES if not args.styles or label in STYLED]
    columns = [index_of(symbol) for symbol in args.landmarks or SYMBOLS]
    for label in labels:
        found = of_landmarks(run(detector, films, label), columns)
        all_found.append(found)
        if label == "untouched":
            print_row(label, found, 0)
            finite = found.errors[np.isfinite(found.errors)]
            base = float(finite.mean())
        else:
            print_row(label, found, base)
    print_status(all_found)


if __name__ == "__main__":
    main()
