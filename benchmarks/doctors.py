"""How often the junior doctor finds the senior's class: success classification rates of the ISBI 2015 challenge.

``python benchmarks/doctors.py ISBI2015/`` reads the annotations and prints a row for each split and for all films, once
as the challenge's code exchanges the matrices of FHI and FMA, once with rows of the truth. No model takes part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monai_ceph.analysis.challenge import MEASURES, challenge_classes, class_agreement
from monai_ceph.datasets import SPLITS, isbi2015


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    args = parser.parse_args()
    classes = {}
    for split in SPLITS["isbi2015"]:
        pairs = [film.annotators() for film in isbi2015(args.dataset, split)]
        classes[split] = [challenge_classes(np.stack([pair[i][:, ::-1] for pair in pairs if pair])) for i in (0, 1)]
    print("| films | FHI and FMA |", " | ".join(measure.symbol for measure in MEASURES), "| mean |")
    print("|---|---" * 2 + "|---" * (len(MEASURES) - 1) + "|")
    for split, (senior, junior) in classes.items():
        for exact, name in ((True, "exchanged"), (False, "rows of the truth")):
            rates = [result.rate for result in class_agreement(junior, senior, exact)]
            print(f"| {split}, {len(senior)} | {name} |", " | ".join(f"{rate:.1f}" for rate in rates), end="")
            print(f" | {np.mean(rates):.2f} |")


if __name__ == "__main__":
    main()
