"""The ranges of the layers' inputs on films, with which OpenVINO computes in 8-bit integers.

``python benchmarks/activation_ranges.py ISBI2015/ --split train --config mine.json --write fast.json`` writes a config
for ``--config``: the ranges of the networks that ``mine.json`` names, and ``"runtime": "openvino"``. ``--shipped``
writes only the ranges, as ``monai_ceph/weights/ranges.json`` has them. Films that errors are counted on later must not
be among them.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from monai_ceph import CephalogramDetector
from monai_ceph.datasets import Film, open_dataset, split_fold
from monai_ceph.networks.quantization import observed_ranges
from monai_ceph.weights import STAGES

# the end of a range matters less than its fourth digit
DIGITS = 4


def ranges_of(detector: CephalogramDetector, films: list[Film]) -> dict[str, dict[str, list[float]]]:
    """Detect on all films, and return the ranges by stage and layer."""
    networks = (detector.inferer.global_network, detector.network, detector.inferer.context_network)
    with ExitStack() as stack:
        observed: dict[str, Any] = {
            stage: stack.enter_context(observed_ranges(network.unet))
            for stage, network in zip(STAGES, networks, strict=True)
            if network is not None
        }
        for film in films:
            detector(film.image, force=True)
    return {
        stage: {layer: [float(f"{value:.{DIGITS}g}") for value in span] for layer, span in layers.items()}
        for stage, layers in observed.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder, or a folder of annotated films")
    parser.add_argument("--split", default="train", help="films of ISBI 2015")
    parser.add_argument("--folds", type=int, default=0, help="leave a fold of this many out; 0: use all films")
    parser.add_argument("--fold", type=int, default=0, help="the fold that is left out")
    parser.add_argument("--films", type=int, default=40, help="how many are used, evenly spread")
    parser.add_argument("--config", type=Path, action="append", default=[], help="bundle config that changes keys")
    parser.add_argument("--write", type=Path, required=True, help="the file to write")
    parser.add_argument("--shipped", action="store_true", help="write the ranges only")
    args = parser.parse_args()
    films = open_dataset(args.dataset, args.split)
    if args.folds:
        films = split_fold(films, args.fold, args.folds, 0)[0]
    detector = CephalogramDetector("cpu", args.config, {"mixed_precision": False, "runtime": "torch"})
    used = films[:: max(1, len(films) // args.films)][: args.films]
    ranges = ranges_of(detector, used)
    content = ranges if args.shipped else {"runtime": "openvino", "activation_ranges": ranges}
    args.write.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{args.write}: {sum(map(len, ranges.values()))} layers, {len(used)} films")


if __name__ == "__main__":
    main()
