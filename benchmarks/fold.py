"""Figures on the films that a fold holds out, where recipes are chosen; test films are not touched.

``python benchmarks/fold.py ISBI2015/ --global-weights G --local-weights L --context-weights C`` prints one row. The
shipped weights, which are the default, were trained on all folds: give networks that have not seen the fold.
``--config`` and ``--set KEY=VALUE`` change what is run; ``--vary KEY VALUE...`` prints a row per value, and ``--row
KEY=VALUE...``, as often as given, a row with these changes after one without; each with its difference from the first
row. ``--folds 2 --fold 0 1`` pools the films of both folds; ``{fold}`` in a value then names
each fold's own networks: ``--local-weights runs/local{fold}/final.pt``.
Seconds are the mean of stage 2 on the machine as it is: compare them within one table only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from monai_ceph import weights
from monai_ceph.datasets import isbi2015, open_dataset, split_fold
from monai_ceph.datasets.isbi2015 import GroundTruth
from monai_ceph.detection import CephalogramDetector, Stage
from monai_ceph.evaluation import Evaluation, evaluate
from monai_ceph.inference_config import inference_config, used_weights
from monai_ceph.landmarks import LANDMARKS

TRAINING_FIGURES = "TRAINING FIGURES: the shipped weights were trained on these films. Do not quote them.\n"


def assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, yaml.safe_load(value)


def of_fold(settings: dict[str, Any], fold: int) -> dict[str, Any]:
    return {
        key: value.replace("{fold}", str(fold)) if isinstance(value, str) else value for key, value in settings.items()
    }


def trained_on_the_films(overlays: Sequence[Path], settings: dict[str, Any], stage: Stage = "local") -> bool:
    """Return whether a network that these settings use is a shipped one: those were trained on all training films."""
    used = used_weights(inference_config(overlays, settings))
    return any(weights.is_shipped(name, file) for name, file in used.items() if stage == "local" or name == "global")


def pooled(parts: list[Evaluation]) -> Evaluation:
    counts = [len(part.names) for part in parts]
    return Evaluation(
        tuple(name for part in parts for name in part.names),
        torch.cat([part.errors for part in parts]),
        torch.cat([part.offsets for part in parts]),
        {name: float(np.average([part.seconds[name] for part in parts], weights=counts)) for name in parts[0].seconds},
    )


def difference(first: Evaluation, second: Evaluation) -> str:
    """Return the mean difference over the landmarks that both found, and its standard error over the films."""
    if first is second:
        return ""
    apart = (second.errors - first.errors).numpy()
    films = np.nanmean(np.where(np.isfinite(apart), apart, np.nan), axis=1)
    return f"{films.mean():+.4f} ± {films.std(ddof=1) / len(films) ** 0.5:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder, or a folder of phantoms (all of them)")
    parser.add_argument("--fold", type=int, nargs="+", default=[0], help="held out; several are pooled (default: 0)")
    parser.add_argument("--folds", type=int, default=5, help="number of folds, by seed 0 (default: 5)")
    parser.add_argument("--truth", choices=("mean", "senior", "junior"), default="mean")
    parser.add_argument("--stage", choices=("global", "local"), default="local", help="global stops after stage 1")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--vary", nargs="+", metavar=("KEY", "VALUE"), help="one row per value of a key")
    parser.add_argument("--row", nargs="+", type=assignment, action="append", default=[], metavar="KEY=VALUE")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", help="default: the shipped ones")
    parser.add_argument("--per-landmark", action="store_true", help="also print the mean error of every landmark")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.vary and len(args.vary) < 2:
        parser.error("--vary needs a key and values")
    if args.vary and args.row:
        parser.error("--vary and --row exclude each other")
    truth: GroundTruth = args.truth
    is_isbi = (args.dataset / "RawImage").is_dir()
    if not is_isbi and len(args.fold) > 1:
        parser.error("only the ISBI 2015 films have folds")
    films = {
        fold: split_fold(isbi2015(args.dataset, "train", truth), fold, args.folds, 0)[1]
        if is_isbi
        else open_dataset(args.dataset)
        for fold in args.fold
    }
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    given = {key: file for key, file in given.items() if file}
    settings = given | dict(args.settings)
    if args.vary:
        head, *values = args.vary
        rows = {value: {head: yaml.safe_load(value)} for value in values}
    else:
        head = "changed" if args.row else ""
        changes = [dict(row) for row in ([], *args.row)]
        rows = {", ".join(f"{key}={value}" for key, value in change.items()): change for change in changes}

    count = sum(map(len, films.values()))
    print(f"{count} films of {args.dataset.resolve().name}, ground truth {truth}\n")
    every = [of_fold(settings | change, fold) for change in rows.values() for fold in films]
    if is_isbi and any(trained_on_the_films(args.config, each, args.stage) for each in every):
        print(TRAINING_FIGURES)
    columns = "missing | MRE ± SD mm | SDR % at 2 / 2.5 / 3 / 4 mm | off by more than 10 mm, % | stage 2, s"
    print(f"| {head} | {columns} | difference ± standard error, mm |\n|---|---|---|---|---|---|---|")
    results: dict[str, Evaluation] = {}
    for label, change in rows.items():
        parts = []
        for fold, held_out in films.items():
            detector = CephalogramDetector("cpu", overlays=args.config, overrides=of_fold(settings | change, fold))
            parts.append(evaluate(held_out, detector, args.stage))
        result = results[label] = pooled(parts)
        row, gross = result.total(label), 100 * float((result.errors > 10).double().mean())
        rates = " / ".join(f"{rate:.1f}" for rate in row.sdr)
        cells = f"{row.mre:.3f} ± {row.sd:.3f} | {rates} | {gross:.2f} | {result.seconds.get('stage_2', 0):.2f}"
        print(f"| {label} | {row.missing} | {cells} | {difference(next(iter(results.values())), result)} |", flush=True)
    if args.per_landmark:
        print(f"\n| landmark, MRE mm | {' | '.join(results)} |\n|---|{'---|' * len(results)}")
        for index, landmark in enumerate(LANDMARKS):
            cells = " | ".join(f"{result.per_landmark()[index].mre:.2f}" for result in results.values())
            print(f"| {landmark.number} {landmark.name} | {cells} |")


if __name__ == "__main__":
    main()
