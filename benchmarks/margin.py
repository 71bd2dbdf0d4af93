"""What the margin around a patch does: MRE, SD and SDR of both stages on the validation fold, by ``patch_margin``.

``python benchmarks/margin.py ISBI2015/`` uses the shipped weights; ``--global-weights`` and ``--local-weights`` compare
others. Test films are not touched.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from typing import Any

from monai_ceph.datasets import isbi2015, open_dataset, split_fold
from monai_ceph.detection import CephalogramDetector
from monai_ceph.evaluation import evaluate

NO_EXPANSION = str(files("monai_ceph") / "bundles" / "no_expansion.json")
SHIPPED = 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder (fold 0 of 5), or a folder of phantoms (all)")
    parser.add_argument("--margins", type=int, nargs="+", default=[0, 5, 10, SHIPPED, 37])
    parser.add_argument("--global-weights", help="default: the shipped ones")
    parser.add_argument("--local-weights", help="default: the shipped ones")
    args = parser.parse_args()
    is_isbi = (args.dataset / "RawImage").is_dir()
    films = split_fold(isbi2015(args.dataset), 0, 5, 0)[1] if is_isbi else open_dataset(args.dataset)
    weights = {"global_weights": args.global_weights, "local_weights": args.local_weights}
    given = {key: file for key, file in weights.items() if file}

    print(f"{len(films)} films of {args.dataset.resolve().name}\n")
    print("| patch_margin | MRE ± SD mm | SDR % at 2 / 2.5 / 3 / 4 mm | off by more than 10 mm, % |")
    print("|---|---|---|---|")

    def show(label: str, overlays: list[str], overrides: dict[str, Any]) -> None:
        result = evaluate(films, CephalogramDetector(overlays=overlays, overrides={**given, **overrides}))
        row = result.total(label)
        rates, gross = " / ".join(f"{rate:.1f}" for rate in row.sdr), 100 * float((result.errors > 10).double().mean())
        print(f"| {label} | {row.mre:.2f} ± {row.sd:.2f} | {rates} | {gross:.1f} |", flush=True)

    for margin in args.margins:
        show(str(margin), [], {"patch_margin": margin})
    show(f"{SHIPPED}, no expansion (one 100 px patch)", [NO_EXPANSION], {"patch_margin": SHIPPED})


if __name__ == "__main__":
    main()
