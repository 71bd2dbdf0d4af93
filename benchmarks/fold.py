"""Figures on the films that a fold holds out, where recipes are chosen; test films are not touched.

``python benchmarks/fold.py ISBI2015/ --global-weights G --local-weights L --context-weights C`` prints one row. The
shipped weights, which are the default, were trained on all folds: give networks that have not seen the fold.
``--config`` and ``--set KEY=VALUE`` change what is run; ``--vary KEY VALUE...`` prints a row per value.
Seconds are the mean of stage 2 on the machine as it is: compare them within one table only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, open_dataset, split_fold
from monai_ceph.datasets.isbi2015 import GroundTruth
from monai_ceph.detection import CephalogramDetector
from monai_ceph.evaluation import Evaluation, evaluate
from monai_ceph.landmarks import LANDMARKS


def assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, yaml.safe_load(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder, or a folder of phantoms (all of them)")
    parser.add_argument("--fold", type=int, default=0, help="of 5, seed 0 (default: 0)")
    parser.add_argument("--truth", choices=("mean", "senior", "junior"), default="mean")
    parser.add_argument("--stage", choices=("global", "local"), default="local", help="global stops after stage 1")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--vary", nargs="+", metavar=("KEY", "VALUE"), help="one row per value of a key")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="default: the shipped ones")
    parser.add_argument("--per-landmark", action="store_true", help="the mean error of every landmark, too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.vary and len(args.vary) < 2:
        parser.error("--vary needs a key and values")
    truth: GroundTruth = args.truth
    is_isbi = (args.dataset / "RawImage").is_dir()
    films = (
        split_fold(isbi2015(args.dataset, "train", truth), args.fold, 5, 0)[1]
        if is_isbi
        else open_dataset(args.dataset)
    )
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    given = {key: file for key, file in given.items() if file}
    settings = given | dict(args.settings)
    key, *values = args.vary or ("as it is",)

    print(f"{len(films)} films of {args.dataset.resolve().name}, ground truth {truth}\n")
    if is_isbi and not (args.global_weights and args.local_weights):
        print("TRAINING FIGURES: the shipped weights were trained on these films. Do not quote them.\n")
    print(f"| {key} | MRE ± SD mm | SDR % at 2 / 2.5 / 3 / 4 mm | off by more than 10 mm, % | stage 2, s |")
    print("|---|---|---|---|---|")
    results: dict[str, Evaluation] = {}
    for label in values or [""]:
        varied = {key: yaml.safe_load(label)} if values else {}
        detector = CephalogramDetector("cpu", overlays=args.config, overrides={**settings, **varied})
        result = results[label] = evaluate(films, detector, args.stage)
        row, gross = result.total(label), 100 * float((result.errors > 10).double().mean())
        rates = " / ".join(f"{rate:.1f}" for rate in row.sdr)
        seconds = result.seconds.get("stage 2", 0)
        print(f"| {label} | {row.mre:.3f} ± {row.sd:.3f} | {rates} | {gross:.2f} | {seconds:.2f} |", flush=True)
    if args.per_landmark:
        print(f"\n| landmark, MRE mm | {' | '.join(results)} |\n|---|{'---|' * len(results)}")
        for index, landmark in enumerate(LANDMARKS):
            cells = " | ".join(f"{result.per_landmark()[index].mre:.2f}" for result in results.values())
            print(f"| {landmark.number} {landmark.name} | {cells} |")


if __name__ == "__main__":
    main()
