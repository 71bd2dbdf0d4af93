"""The paper's rows beside ours, on the films of the ISBI 2015 challenge.

``python benchmarks/accuracy.py ISBI2015/ --json accuracy.json`` prints markdown tables of the shipped model;
``--recipe paper`` with ``--global-weights`` and ``--local-weights`` those of the paper's method
(bundles/overlays/paper.json).
Every method detects once on every film; the errors against the mean of both doctors, the senior and the junior come
from the same predictions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch

from monai_ceph import CephalogramDetector, Detection, __version__, weights
from monai_ceph.datasets import Film, isbi2015
from monai_ceph.datasets.isbi2015 import DOUBLES_OF_TRAINING, GroundTruth
from monai_ceph.detection import Stage
from monai_ceph.errors import CephError
from monai_ceph.evaluation import Evaluation, Row, evaluate
from monai_ceph.folders import BUNDLES
from monai_ceph.metrics import SDR_THRESHOLDS
from monai_ceph.readers import Radiograph
from monai_ceph.reports.json_result import may_replace
from monai_ceph.storage.atomic import written_beside

PAPER, NO_EXPANSION = str(BUNDLES / "overlays" / "paper.json"), str(BUNDLES / "overlays" / "no_expansion.json")
TRUTHS: tuple[GroundTruth, ...] = ("mean", "senior", "junior")


@dataclass(frozen=True)
class Method:
    """One row of the tables: what is run, and the paper's figures on Test1 (MRE, SD, then SDR)."""

    key: str
    label: str
    stage: Stage = "local"
    overlays: tuple[str, ...] = ()
    overrides: dict[str, Any] = field(default_factory=dict)
    paper: tuple[float, ...] | None = None


RECIPES = {
    "paper": (
        Method("global", "stage 1 alone", "global", paper=(1.90, 1.17, 62.41, 75.63, 83.82, 93.72)),
        Method("global-mean", "stage 1 alone, threshold and mean", "global", overrides={"guide_method": "mean"}),
        Method(
            "no-expansion",
            "both stages, no expansion",
            overlays=(NO_EXPANSION,),
            paper=(1.22, 1.42, 85.38, 91.19, 94.21, 97.27),
        ),
        Method(
            "full",
            "both stages, with expansion",
            paper=(1.12, 0.88, 86.91, 91.82, 94.88, 97.90),
        ),
        Method(
            "no-expansion-margin",
            "no expansion, margin 21 px",
            overlays=(NO_EXPANSION,),
            overrides={"patch_margin": 21},
        ),
        Method("full-margin", "with expansion, margin 21 px", overrides={"patch_margin": 21}),
    ),
    "shipped": (
        Method("global", "stage 1 alone", "global"),
        # as in the literature: a position for every landmark, however low its score
        Method(
            "full",
            "both stages, every landmark placed",
            overrides={"missing_below": 0, "error_model": None},
            paper=(1.12, 0.88, 86.91, 91.82, 94.88, 97.90),
        ),
        Method("detect", "both stages, as monai-ceph detect gives them"),
    ),
}


class RememberingDetector(CephalogramDetector):
    """Detects on every film once, and returns the stored detection after that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: dict[tuple[str, Stage], Detection] = {}

    def __call__(self, source: str | Path | Radiograph, *, force: bool = False, stage: Stage = "local") -> Detection:
        """Return the film's detection."""
        if isinstance(source, Radiograph):
            return super().__call__(source, force=force, stage=stage)
        key = (str(source), stage)
        if key not in self._known:
            self._known[key] = super().__call__(source, force=force, stage=stage)
        return self._known[key]


def shape_size(films: Sequence[Film]) -> float:
    """Return the mean over films of the landmarks' root mean square distance from their centre, in mm."""
    sizes = [
        float(
            np.sqrt(np.mean(np.sum((film.landmarks - film.landmarks.mean(axis=0)) ** 2, axis=1))) * film.pixel_spacing
        )
        for film in films
    ]
    return round(float(np.mean(sizes)), 1)


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


def cells(figures: tuple[float, ...]) -> str:
    mre, sd, *rates = figures
    return f"{mre:.2f} ± {sd:.2f} | " + " | ".join(f"{rate:.2f}" for rate in rates)


def figures(row: Row) -> tuple[float, ...]:
    return (row.mre, row.sd, *row.sdr)


def paper_row(figures: tuple[float, ...]) -> dict[str, Any]:
    """Return a row of the paper as JSON; the paper does not say how many landmarks it misses."""
    row = Row("paper", 150, 0, 0, figures[0], figures[1], figures[2:]).as_dictionary()
    return {key: value for key, value in row.items() if key not in ("annotated", "missing")}


def print_table(
    title: str,
    methods: tuple[Method, ...],
    results: dict[str, Evaluation],
    doubles: frozenset[str],
    whole: bool,
    with_paper: bool,
) -> None:
    thresholds = " | ".join(f"{threshold:g} mm" for threshold in SDR_THRESHOLDS)
    print(f"\n**{title}** (MRE ± SD in mm, SDR in % within)\n")
    print(f"| method | films | MRE ± SD | {thresholds} | not found |\n|---|---|---|{'---|' * len(SDR_THRESHOLDS)}---|")
    for method in methods:
        result = results[method.key]
        if with_paper and method.paper is not None:
            print(
                f"| {method.label}, the paper | {'150' if whole else '150 (whole split)'} | {cells(method.paper)} | |"
            )
        for without in (frozenset[str](), doubles) if doubles else (doubles,):
            kept = [index for index, name in enumerate(result.names) if name not in without]
            if not kept or (without and len(kept) == len(result.names)):
                continue
            row = result.total(method.label, without)
            label = f"{method.label}, ours" + (", without doubles" if without else "")
            print(f"| {label} | {row.films} | {cells(figures(row))} | {row.missing} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's rows beside ours on ISBI 2015.")
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder, with RawImage/ in it")
    parser.add_argument("--split", choices=("train", "test1", "test2"), default="test1")
    parser.add_argument("--limit", type=int, help="only the first N films, for a quick check: the figures are PARTIAL")
    parser.add_argument("--json", type=Path, dest="json_file", help="write the figures to this file as JSON")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads (default: CPUs)")
    parser.add_argument("--device", help="torch device (default: the GPU if there is one)")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="shipped")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="default: the shipped ones")
    options = parser.parse_args()
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be 1 or more")
    if options.json_file is not None and not may_replace(options.json_file, ("versions", "paper", "ours")):
        parser.error(f"--json {options.json_file} was not written by this script: move it, or choose another file")
    torch.set_num_threads(options.threads)

    methods = RECIPES[options.recipe]
    base = [PAPER] if options.recipe == "paper" else []
    if base and options.context_weights:
        parser.error("the paper's recipe has no context network: no --context-weights with --recipe paper")
    given = {f"{name}_weights": getattr(options, f"{name}_weights") for name in weights.STAGES}
    given = {key: file for key, file in given.items() if file}
    doubles = frozenset(DOUBLES_OF_TRAINING.values()) if options.split == "test1" else frozenset[str]()
    results: dict[str, dict[str, Evaluation]] = {truth: {} for truth in TRUTHS}
    identity: dict[str, Any] = {}
    seen: str | None = None
    try:
        films = {truth: isbi2015(options.dataset, options.split, truth) for truth in TRUTHS}
        total = len(films["mean"])
        films = {truth: each[: options.limit] for truth, each in films.items()}
        count = len(films["mean"])
        for method in methods:
            detector = RememberingDetector(
                options.device,
                overlays=[*base, *options.config, *method.overlays],
                overrides={**given, **method.overrides},
            )
            identity = detector.identity.model_dump()
            seen = weights.training_figures_note(detector.used_weights, "isbi2015", options.split)
            for truth in TRUTHS:
                done = 0
                for_this = f"{method.label}, {truth}"

                def show(film: object, text: str = for_this) -> None:
                    nonlocal done
                    done += 1
                    progress(f"{text}: {done}/{count}")

                results[truth][method.key] = evaluate(films[truth], detector, method.stage, show)
    except (CephError, OSError) as error:
        parser.exit(2, f"{error}\n")
    progress("")
    progress("\r")

    partial = count < total
    if partial:
        print(f"**PARTIAL: the first {count} of {total} films. These are not results; do not quote them.**\n")
    if seen is not None:
        print(f"**{seen}**\n")
    print(
        f"ISBI 2015, {options.split}, {count} films; {identity['name']} {identity['version']}, weights "
        f"{identity['weights_sha256'][:12]}, {identity['software']}, torch {torch.__version__}, "
        f"{os.cpu_count()} CPUs, {options.threads} threads."
    )
    for truth in TRUTHS:
        doctor = "mean of both doctors" if truth == "mean" else f"{truth} doctor"
        title = f"{options.split}, ground truth: {doctor}" + (", PARTIAL" if partial else "")
        # the paper's rows on Test1 have the mean of both doctors as their truth
        print_table(title, methods, results[truth], doubles, not partial, options.split == "test1" and truth == "mean")

    if options.json_file:
        record = {
            "partial": partial,
            "split": options.split,
            "training_figures": seen is not None,
            "recipe": options.recipe,
            "films": count,
            "shape_size_mm": shape_size(films["mean"]),
            "model": identity,
            "versions": {
                "monai-ceph": __version__,
                "torch": torch.__version__,
                "monai": monai.__version__,
                "python": platform.python_version(),
            },
            "paper": {method.key: paper_row(method.paper) for method in methods if method.paper},
            "ours": {
                truth: {
                    key: {
                        "all": result.total("all films").as_dictionary(),
                        "without_doubles": (
                            result.total("without doubles", doubles).as_dictionary()
                            if doubles and not doubles.issuperset(result.names)
                            else None
                        ),
                        "per_landmark": [row.as_dictionary() for row in result.per_landmark()],
                        "seconds": result.seconds,
                        "names": result.names,
                        # (row, column) in mm, from truth to detection
                        "offsets": [
                            [[round(x, 3) for x in mark] if math.isfinite(mark[0]) else None for mark in film]
                            for film in result.offsets.tolist()
                        ],
                    }
                    for key, result in each.items()
                }
                for truth, each in results.items()
            },
        }
        with written_beside(options.json_file) as part:
            part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
