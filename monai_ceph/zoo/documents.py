"""The documents of the bundle: docs/README.md, after the model zoo's template, and docs/data_license.txt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from textwrap import fill
from typing import Any

from monai_ceph.version import __version__

__all__ = ["texts"]

_OWN_DATA = "The weights were trained by the user. Ask the user for the license of the training data.\n"
_MEASURES = {
    "mre_mm": "mean radial error, mm",
    "sd_mm": "its standard deviation, mm",
    "sdr_2_0mm_percent": "within 2 mm, %",
    "sdr_2_5mm_percent": "within 2.5 mm, %",
    "sdr_3_0mm_percent": "within 3 mm, %",
    "sdr_4_0mm_percent": "within 4 mm, %",
}


_RADII = (
    "Each landmark has radii that the true point lies within in 90 % and in 95 % of cases, and is uncertain if the "
    "first is longer than `uncertain_radius_mm`. A landmark is missing, with no coordinates, only on evidence that the "
    "film does not show it. `models/errors.json` has the numbers. It holds for `models/model.pt` alone: with other "
    "weights, limits of the score decide, and there are no radii."
)
_NO_RADII = (
    "A landmark below `missing_below` is missing, with no coordinates: mostly one that is off the film or covered, "
    "sometimes one that is there. One below `uncertain_below` is uncertain. There are no radii."
)


def texts(
    metadata: Mapping[str, Any], stages: Sequence[str], shipped: bool, error_model: bool = False
) -> dict[str, str]:
    """Return the documents by their path in the bundle.

    Args:
        metadata: metadata of the bundle.
        stages: the stages that have a network in the model.
        shipped: whether weights and recipe are those of the package.
        error_model: whether the bundle has an error model.
    """
    pred = metadata["network_data_format"]["outputs"]["pred"]
    references: list[str] = metadata["references"]
    numbers = {2: "two", 3: "three", 4: "four", 5: "five"}
    readme = Template(_template("README.md")).substitute(
        name=metadata["name"],
        authors=metadata["authors"],
        task=metadata["task"],
        channels=pred["num_channels"],
        networks=numbers.get(len(stages), len(stages)),
        model=metadata["model"]["name"],
        version=metadata["model"]["version"],
        sha256=metadata["model"]["weights_sha256"],
        data_source=metadata["data_source"],
        parts="`, `".join(f"{stage}_network" for stage in stages),
        certainty=fill(_RADII if error_model else _NO_RADII, 120),
        performance=_performance(metadata["eval_metrics"]),
        package=__version__,
        citation=references[0],
        references="\n\n".join(f"[{number}] {reference}" for number, reference in enumerate(references, start=1)),
    )
    return {
        "docs/README.md": readme,
        "docs/data_license.txt": _template("data_license.txt") if shipped else _OWN_DATA,
    }


def _performance(figures: Mapping[str, float]) -> str:
    if not figures:
        return "Not measured: run `evaluating` on films that the networks were not trained on."
    rows = [f"| {_MEASURES[key]} | {value:g} |" for key, value in figures.items()]
    return "\n".join(
        [
            "These weights were trained on all 400 films of ISBI 2015, so no figure on these films is theirs. Networks",
            "of the same recipe were trained on 318 of them, and measured on 75 others: mean of both doctors, every",
            "landmark placed, the challenge's 0.1 mm per pixel.",
            "",
            "| measure | |",
            "|---|---|",
            *rows,
        ]
    )


def _template(name: str) -> str:
    return (files("monai_ceph") / "zoo" / "templates" / name).read_text(encoding="utf-8")
