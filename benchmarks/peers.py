"""Other methods on the same films, in one table: random forests with a shape model, and SpatialConfiguration-Net.

``python benchmarks/peers.py ISBI2015/ --method forest scn --minutes 99`` trains each on the 150 training films, within
the processor time that the paper's recipe took, and prints its row for Test1 and Test2. ``--fold 0`` trains without a
fifth of the training films and prints the row of those: there every choice is made. What is trained already is used
as it is, and a run that trains nothing tells the peak memory of detection only; SpatialConfiguration-Net continues
from its checkpoint. Needs ``pip install scikit-learn`` and ``pip install --no-deps landmarker``.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time
from pathlib import Path

import torch
from peer import Peer, grey_film

from monai_ceph.datasets import Film, isbi2015, split_fold
from monai_ceph.metrics import (
    SDR_THRESHOLDS,
    mean_radial_error,
    radial_error_sd,
    radial_errors,
    successful_detection_rate,
)

PEERS = {"forest": ("peer_forest", "Forest"), "scn": ("peer_scn", "ConfigurationNet")}
FOLDS = 5
GROSS = 10.0


def peer_of(name: str) -> Peer:
    """Return a method; its module imports packages that the others do not need."""
    module, kind = PEERS[name]
    peer: Peer = getattr(importlib.import_module(module), kind)()
    return peer


def row(peer: Peer, films: list[Film], minutes: float) -> str:
    """Detect on all films, and return the row of the table."""
    errors, seconds = [], 0.0
    for film in films:
        pixels = grey_film(film)
        start = time.perf_counter()
        found = peer.detect(pixels, film.pixel_spacing)
        seconds += time.perf_counter() - start
        marks = torch.from_numpy(film.landmarks)
        errors.append(radial_errors(torch.from_numpy(found) * film.pixel_spacing, marks * film.pixel_spacing))
    values = torch.stack(errors)
    rates = " / ".join(f"{successful_detection_rate(values, threshold=each):.1f}" for each in SDR_THRESHOLDS)
    gross = 100 * float((values > GROSS).double().mean())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"| {peer.label} | {len(films)} | {mean_radial_error(values):.3f} ± {radial_error_sd(values):.3f} | {rates} | "
        f"{gross:.2f} | {seconds / len(films):.2f} | {peer.parameters():,} | {peak:.0f} | {minutes:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--method", nargs="+", choices=tuple(PEERS), default=list(PEERS))
    parser.add_argument("--minutes", type=float, default=99.0, help="of processor time to train (default: %(default)g)")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="what is learned (default: %(default)s)")
    parser.add_argument(
        "--fold", type=int, choices=range(FOLDS), help="held out and tested, instead of Test1 and Test2"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    films = isbi2015(args.dataset, "train", "mean")
    if args.fold is None:
        tested = {split: isbi2015(args.dataset, split, "mean") for split in ("test1", "test2")}
    else:
        films, held_out = split_fold(films, args.fold, FOLDS, 0)
        tested = {f"fold {args.fold} of the training films": held_out}
    for name in args.method:
        folder = args.out / (name if args.fold is None else f"{name}-fold{args.fold}")
        folder.mkdir(parents=True, exist_ok=True)
        peer = peer_of(name)
        done = folder / "minutes.txt"
        if not done.is_file():
            minutes = peer.train(films, folder, args.minutes)
            done.write_text(f"{minutes}\n", encoding="utf-8")
        peer.load(folder)
        for title, its in tested.items():
            print(f"\n{title}, ground truth: mean\n")
            print("| method | films | MRE ± SD mm | SDR % at 2 / 2.5 / 3 / 4 mm | > 10 mm, % | s per film | ", end="")
            print("parameters | peak MiB | minutes to train |\n|---|---|---|---|---|---|---|---|---|")
            print(row(peer, its, float(done.read_text(encoding="utf-8"))), flush=True)


if __name__ == "__main__":
    main()
