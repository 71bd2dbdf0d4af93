"""Draw the figures of docs/explanation/accuracy.md from the output of benchmarks/accuracy.py.

``python benchmarks/figures.py accuracy.json docs/images`` draws the mean error of every landmark (as in the paper's
figure 4), and error vectors on the mean shape for the best, the median and the worst film. Neither films nor
annotations are drawn: points have the positions of the mean shape, and vectors are errors in mm.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from monai_ceph import weights
from monai_ceph.landmarks import LANDMARKS

# an error of 1 mm would be a dot on a head of 130 mm
_ENLARGED = 4


def per_landmark(methods: dict[str, Any], target: Path) -> None:
    """Draw the mean radial error of every landmark and its standard deviation as bars, one colour per method."""
    figure, axes = plt.subplots(figsize=(10, 4), layout="constrained")
    width = 0.8 / len(methods)
    for index, (name, method) in enumerate(methods.items()):
        rows = method["per_landmark"]
        axes.bar(
            np.arange(len(rows)) + (index - (len(methods) - 1) / 2) * width,
            [row["mre_mm"] for row in rows],
            width,
            yerr=[np.zeros(len(rows)), [row["sd_mm"] for row in rows]],
            label=name,
            error_kw={"elinewidth": 0.8},
        )
    axes.axhline(2, color="grey", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(LANDMARKS)), [mark.symbol for mark in LANDMARKS])
    axes.set_ylabel("MRE, bar up: SD (mm)")
    axes.legend()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def cases(method: dict[str, Any], size_mm: float, target: Path) -> None:
    """Draw the enlarged error vectors of the best, the median and the worst film on the mean shape."""
    shape = np.array(weights.model()["mean_shape"]) * size_mm
    offsets = np.array([[(np.nan, np.nan) if mark is None else mark for mark in film] for film in method["offsets"]])
    mean = np.nanmean(np.linalg.norm(offsets, axis=2), axis=1)
    order = np.argsort(mean)
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    figure, panels = plt.subplots(1, 3, figsize=(12, 5), sharex=True, sharey=True, layout="constrained")
    for panel, (name, film) in zip(panels, chosen.items(), strict=True):
        panel.scatter(shape[:, 1], shape[:, 0], s=14, color="black", zorder=3)
        panel.quiver(
            shape[:, 1],
            shape[:, 0],
            _ENLARGED * offsets[film, :, 1],
            _ENLARGED * offsets[film, :, 0],
            angles="xy",
            scale_units="xy",
            scale=1,
            color="tab:red",
            width=0.006,
        )
        # arrows do not widen the axes, points do
        tips = shape + _ENLARGED * offsets[film]
        panel.scatter(tips[:, 1], tips[:, 0], s=0)
        for mark, (row, column) in zip(LANDMARKS, shape, strict=True):
            panel.annotate(mark.symbol, (column, row), (4, 4), textcoords="offset points", fontsize=7, color="grey")
        panel.set_title(f"{name}: {mean[film]:.2f} mm")
        panel.set_aspect("equal")
        panel.set_xlabel(f"mm; vectors {_ENLARGED} x")
        panel.margins(0.08)
    panels[0].invert_yaxis()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="The figures of benchmarks/JOURNAL.md.")
    parser.add_argument("accuracy", type=Path, nargs="+", help="files of benchmarks/accuracy.py --json")
    parser.add_argument("target", type=Path, help="folder of the pictures")
    parser.add_argument("--method", default="full", help="key of the method (default: full)")
    options = parser.parse_args()
    records = [json.loads(file.read_text(encoding="utf-8")) for file in options.accuracy]
    methods = {f"{record['recipe']} recipe": record["ours"]["mean"][options.method] for record in records}
    options.target.mkdir(parents=True, exist_ok=True)
    per_landmark(methods, options.target / "per_landmark.png")
    cases(methods[f"{records[-1]['recipe']} recipe"], records[-1]["shape_size_mm"], options.target / "cases.png")


if __name__ == "__main__":
    main()
