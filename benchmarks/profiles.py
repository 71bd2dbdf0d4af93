"""Error against the number of corrected films that a clinic's profile is learned from.

``python benchmarks/profiles.py ISBI2015/`` prints a row per number of films, for the senior's and the junior's points
as two clinics, and for the mean of both, which is what the weights were trained on and from which nothing should be
learned. Films are drawn at random, many times; a profile is learned from those drawn and measured on all others.
``--split`` chooses the films. ``--figure FILE`` draws the errors as curves. It detects once and keeps the detections in
``--points``, a folder; delete it after a change of the weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph import weights
from monai_ceph.datasets import Film, open_dataset
from monai_ceph.datasets.film import GroundTruth
from monai_ceph.profiles.estimate import estimate
from monai_ceph.profiles.frame import head_frame
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

TRAINING_FIGURES = (
    "TRAINING FIGURES: the shipped weights were trained on these films, with the mean of both doctors. Do not quote "
    "the errors; the gain is what counts.\n"
)
CLINICS: tuple[GroundTruth, ...] = ("senior", "junior", "mean")


def detected(
    films: list[Film],
    folder: Path,
    device: str | None,
    overrides: dict[str, Any] | None = None,
    overlays: Sequence[Path] = (),
) -> list[Detection]:
    """Return the detection on each film, from the folder if it is there; ``overrides`` are config keys."""
    files = [folder / f"{film.image.stem}.json" for film in films]
    if not all(file.exists() for file in files):
        from monai_ceph import CephalogramDetector

        detector = CephalogramDetector(device, overlays, overrides)
        folder.mkdir(parents=True, exist_ok=True)
        for film, file in zip(films, files, strict=True):
            if not file.exists():
                with written_beside(file) as part:
                    part.write_text(detector(film.image, force=True).model_dump_json(), encoding="utf-8")
    return [Detection.model_validate_json(file.read_bytes()) for file in files]


def residuals(films: list[Film], detections: list[Detection]) -> tuple[np.ndarray, np.ndarray]:
    """Return corrected minus detected in the frame of the head (films, 19, 2), and the radius of each head in mm."""
    shape = np.array(weights.mean_shape())[:, ::-1]
    steps, radii = [], []
    for film, detection in zip(films, detections, strict=True):
        points = detection.points()
        frame = head_frame(points, shape)
        assert frame is not None, film.name
        steps.append(frame.to_head(film.landmarks[:, ::-1] - points))
        radii.append(frame.radius * film.pixel_spacing)
    return np.array(steps), np.array(radii)


def within(errors: np.ndarray) -> float:
    """Return the share of annotated landmarks within 2 mm, in per cent; a missing one is not."""
    return 100 * float((errors <= 2).mean())


def draw(curves: dict[str, list[tuple[int, float]]], target: Path) -> None:
    """Draw a curve of the mean error over the number of films for each clinic."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for clinic, points in curves.items():
        counts, errors = zip(*points, strict=True)
        axes.plot(
            counts, errors, marker="o", label=f"{clinic}'s points" if clinic != "mean" else "mean of both doctors"
        )
    axes.set(xlabel="corrected films", ylabel="mean radial error, mm", ylim=(0, None), xticks=counts)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--split", choices=("train", "test1", "test2"), default="train")
    parser.add_argument("--films", type=int, nargs="+", default=[3, 5, 10, 20, 40], help="numbers to learn from")
    parser.add_argument("--draws", type=int, default=100, help="random draws per number")
    parser.add_argument("--points", type=Path, default=Path("runs/profiles"), help="where detections are kept")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--device")
    parser.add_argument("--figure", type=Path, help="PNG or SVG file for the curves")
    options = parser.parse_args()
    # the shipped weights saw all splits; others, such as those of earlier_weights.py, the training films
    if options.split == "train" or not options.config:
        print(TRAINING_FIGURES)
    print(
        "| clinic | films | error, mm | within 2 mm, % | worst draw, mm | landmarks moved | said by leave-one-out, mm |"
    )
    print("|---|---|---|---|---|---|---|")
    detections: list[Detection] = []
    curves: dict[str, list[tuple[int, float]]] = {}
    for clinic in CLINICS:
        films = open_dataset(options.dataset, options.split, clinic)
        folder = options.points / options.split
        detections = detections or detected(films, folder, options.device, overlays=options.config)
        steps, radii = residuals(films, detections)
        plain = np.linalg.norm(steps, axis=2) * radii[:, None]
        print(f"| {clinic} | 0 | {np.nanmean(plain):.3f} | {within(plain):.1f} | | | |")
        curves[clinic] = [(0, float(np.nanmean(plain)))]
        random = np.random.default_rng(0)
        for count in options.films:
            rows = []
            for _ in range(options.draws):
                order = random.permutation(len(films))
                drawn, others = order[:count], order[count:]
                learned = estimate(steps[drawn])
                errors = np.linalg.norm(steps[others] - learned.offsets, axis=2) * radii[others, None]
                before = float(np.nanmean(plain[others]))
                # the change, so that draws with easy films left over do not count as better
                gained = float(np.nanmean(learned.after * radii[drawn, None]) - np.nanmean(plain[drawn]))
                change = float(np.nanmean(errors)) - before
                rows.append((change, within(errors) - within(plain[others]), int(learned.kept.sum()), gained))
            change, share, kept, gained = np.mean(rows, axis=0)
            total, worst = float(np.nanmean(plain)), max(row[0] for row in rows)
            curves[clinic].append((count, total + float(change)))
            print(
                f"| {clinic} | {count} | {total + change:.3f} | {within(plain) + share:.1f} | {total + worst:.3f} "
                f"| {kept:.1f} | {total + gained:.3f} |",
                flush=True,
            )
    if options.figure:
        draw(curves, options.figure)


if __name__ == "__main__":
    main()
