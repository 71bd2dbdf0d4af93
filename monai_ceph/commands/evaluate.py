"""``monai-ceph evaluate``: the challenge's measures, agreement and figures on an annotated dataset."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monai_ceph.commands.console import console, messages, need_extra, stop, warn
from monai_ceph.commands.evaluate_tables import (
    confusion_table,
    error_table,
    landmark_table,
    measurement_table,
    rate_table,
)
from monai_ceph.commands.options import Device, Overlay, ProfileFile, Trusted, check_profile, check_spacing
from monai_ceph.commands.progress import Progress
from monai_ceph.errors import CephError, DatasetError

if TYPE_CHECKING:
    from monai_ceph.datasets import Film, Layout
    from monai_ceph.detection import Stage
    from monai_ceph.evaluation import Row
    from monai_ceph.result import ProfileIdentity
    from monai_ceph.study import Study

__all__ = ["evaluate"]


class Split(str, Enum):
    """Splits of ISBI 2015 and of Aariz."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"
    TEST1 = "test1"
    TEST2 = "test2"
    ALL = "all"


class GroundTruth(str, Enum):
    """Annotations of ISBI 2015 and of Aariz."""

    MEAN = "mean"
    SENIOR = "senior"
    JUNIOR = "junior"


class Method(str, Enum):
    """What is evaluated: the rows of the paper's table 1."""

    FULL = "full"
    NO_EXPANSION = "no-expansion"
    GLOBAL = "global"


# the split if none is given, and the layouts whose films two doctors marked
_DEFAULT_SPLIT = {"isbi2015": Split.TEST1, "aariz": Split.TEST}
_TWO_DOCTORS = ("isbi2015", "aariz")


def evaluate(
    dataset: Annotated[
        Path, typer.Argument(help="Folder of ISBI 2015, Aariz or CL-Detection, or a folder with landmarks.csv.")
    ],
    split: Annotated[
        Split | None,
        typer.Option(help="Part of ISBI 2015 (default test1) or Aariz (default test).", show_default=False),
    ] = None,
    ground_truth: Annotated[GroundTruth, typer.Option(help="Annotations of ISBI 2015 or Aariz.")] = GroundTruth.MEAN,
    method: Annotated[
        Method, typer.Option(help="Both stages, both without expansion, or only the first.")
    ] = Method.FULL,
    measurements: Annotated[
        bool, typer.Option("--measurements", help="Also the agreement of angles, ratios, lengths and classes.")
    ] = False,
    challenge: Annotated[
        bool, typer.Option("--challenge", help="Also the ISBI 2015 challenge's classes and their success rates.")
    ] = False,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the dataset says.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for the figures.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables, such as the errors on each film.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for plots; needs the extra figures.")] = None,
    profile: ProfileFile = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Detect on an annotated dataset, and print MRE, SD and SDR, in total and per landmark, and the agreement."""
    from monai_ceph import weights
    from monai_ceph.datasets import SPLITS, layout_of
    from monai_ceph.datasets.isbi2015 import DOUBLES_OF_TRAINING
    from monai_ceph.folders import BUNDLES

    _check_targets(json_file, out, figures, measurements, challenge)
    check_spacing(pixel_spacing)
    if profile is not None and method is Method.GLOBAL:
        stop("--profile and --method global exclude each other: a profile moves the points of the second stage")
    clinic = check_profile(profile, [])
    overlays = [str(BUNDLES / "overlays" / "no_expansion.json")] if method is Method.NO_EXPANSION else []
    try:
        layout = layout_of(dataset)
        part = split or _DEFAULT_SPLIT.get(layout, Split.TRAIN)
        films, annotated = _films(dataset, layout, part, ground_truth, pixel_spacing)
        with Progress(messages) as progress:
            progress.step("loading the model")
            progress.total(len(films))
            from monai_ceph.detection import CephalogramDetector
            from monai_ceph.evaluation import error_row
            from monai_ceph.evaluation import evaluate as run
            from monai_ceph.study import Study

            detector = CephalogramDetector(device, [*overlays, *map(str, config or ())], profile=clinic)
            progress.step("evaluating")
            stage: Stage = "global" if method is Method.GLOBAL else "local"
            result = run(films, detector, stage, lambda film: progress.advance())
            study = Study(result, annotated)
    except (CephError, OSError) as error:
        stop(error)
    name = dataset.resolve().name
    truth = f"{part.value}, {ground_truth.value}" if layout in _TWO_DOCTORS else name
    rows = [result.total(f"all {len(films)} films")]
    if layout == "isbi2015" and part is Split.TEST1:
        doubles = frozenset(DOUBLES_OF_TRAINING.values())
        rows.append(result.total(f"without the {len(doubles)} doubled", doubles))
    doctors = None
    if study.doctor_errors is not None:
        label = "junior against senior" if layout in _TWO_DOCTORS else "between two annotators"
        doctors = error_row(label, study.doctor_errors)
    landmarks = result.per_landmark()
    used = clinic.identity() if clinic is not None else None
    title = f"{truth}, {method.value}{f', profile {used.label}' if used is not None else ''}"
    seen = weights.training_figures_note(detector.used_weights, layout, part.value)
    if seen is not None:
        warn(seen)
    console.print(error_table(title, [*rows, *([doctors] if doctors else [])]))
    console.print(error_table("per landmark", landmarks))
    console.print(landmark_table("agreement per landmark", study.landmark_agreement()))
    _print_study(study, measurements, challenge, doctors.label if doctors else None)
    console.print(
        "mean seconds per film: "
        + ", ".join(f"{part.replace('_', ' ')} {value:.3f}" for part, value in result.seconds.items())
    )
    try:
        if json_file is not None:
            _write_json(
                json_file,
                {
                    "dataset": name,
                    "split": part.value if layout in SPLITS else None,
                    "ground_truth": ground_truth.value if layout in _TWO_DOCTORS else None,
                    "method": method.value,
                    "training_figures": seen is not None,
                    "model": detector.identity.model_dump(),
                    **({"profile": used.model_dump()} if used is not None else {}),
                    "rows": [row.as_dictionary() for row in rows],
                    "doctors": doctors.as_dictionary() if doctors else None,
                    "landmarks": [row.as_dictionary() for row in landmarks],
                    **_figures_of(study, measurements, challenge),
                    "seconds": result.seconds,
                },
            )
        if out is not None:
            _write_tables(study, out, measurements, challenge, used)
        if figures is not None:
            _write_figures(study, figures, title, doctors)
    except (CephError, OSError) as error:
        stop(error)


def _check_targets(
    json_file: Path | None, out: Path | None, figures: Path | None, measurements: bool, challenge: bool
) -> None:
    """Stop before the work if a result cannot be written."""
    from monai_ceph.reports.json_result import may_replace

    if figures is not None:
        need_extra("figures", "matplotlib")
    if json_file is not None and json_file.is_dir():
        stop(f"--json {json_file} is a folder, and must be a file")
    if json_file is not None and not may_replace(json_file, ("dataset", "model", "rows", "landmarks")):
        stop(f"--json {json_file} was not written by evaluate. Move it, or choose another file")
    for option, folder in (("--out", out), ("--figures", figures)):
        if folder is not None and folder.exists() and not folder.is_dir():
            stop(f"{option} {folder} is a file, and must be a folder")
    if out is None and figures is None:
        return
    from monai_ceph.reports.figures import figure_files
    from monai_ceph.reports.study_tables import table_names
    from monai_ceph.storage.written_files import WrittenFiles

    try:
        if out is not None:
            for name in table_names(measurements, challenge):
                WrittenFiles(out).check(name)
        if figures is not None:
            for name in figure_files():
                WrittenFiles(figures).check(name)
    except (CephError, OSError) as error:
        stop(error)


def _films(
    dataset: Path, layout: Layout, split: Split, ground_truth: GroundTruth, pixel_spacing: float | None
) -> tuple[list[Film], list[Film] | None]:
    """Return the films, and where the truth is one doctor's, the same films with both doctors' annotations."""
    from dataclasses import replace

    from monai_ceph.datasets import open_dataset

    films = open_dataset(dataset, split.value, ground_truth.value)
    annotated = None
    if layout in _TWO_DOCTORS and ground_truth is not GroundTruth.MEAN:
        try:
            annotated = open_dataset(dataset, split.value, "mean")
        except DatasetError:  # a dataset may have the annotations of one doctor only
            annotated = None
    if pixel_spacing is not None:
        films = [replace(film, pixel_spacing=pixel_spacing) for film in films]
    return films, annotated


def _print_study(study: Study, measurements: bool, challenge: bool, doctors: str | None) -> None:
    if measurements:
        console.print(measurement_table("measurements", study.measurement_agreement(), doctors))
    if not (measurements or challenge):
        return
    exact, corrected = study.class_agreement(exact=True), study.class_agreement(exact=False)
    console.print(rate_table("classes of the ISBI 2015 challenge", exact, corrected, doctors))
    if challenge:
        console.print(confusion_table("confusion by the challenge's rules", exact.model))
        if exact.doctors is not None:
            console.print(confusion_table(f"confusion by the challenge's rules, {doctors}", exact.doctors))


def _figures_of(study: Study, measurements: bool, challenge: bool) -> dict[str, Any]:
    """Return what the JSON has of the agreement; what was not asked for is null."""
    found: dict[str, Any] = {
        "landmark_agreement": [
            {"symbol": each.symbol, "x_mm": each.x.as_dictionary(), "y_mm": each.y.as_dictionary()}
            for each in study.landmark_agreement()
        ],
        "measurements": None,
        "challenge": None,
    }
    if measurements:
        found["measurements"] = [
            {
                "symbol": each.definition.symbol,
                "unit": each.definition.unit,
                "model": each.model.as_dictionary(),
                "doctors": each.doctors.as_dictionary() if each.doctors else None,
            }
            for each in study.measurement_agreement()
        ]
    if measurements or challenge:
        found["challenge"] = {
            rules: {
                "model": [each.as_dictionary() for each in compared.model],
                "doctors": [each.as_dictionary() for each in compared.doctors] if compared.doctors else None,
            }
            for rules, compared in (
                ("challenge", study.class_agreement(exact=True)),
                ("corrected", study.class_agreement(exact=False)),
            )
        }
    return found


def _write_json(file: Path, figures: dict[str, Any]) -> None:
    from monai_ceph.storage.atomic import written_beside

    with written_beside(file) as part:
        part.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _write_tables(
    study: Study, folder: Path, measurements: bool, challenge: bool, profile: ProfileIdentity | None
) -> None:
    """Write the tables; with a profile, the last column of each has its name."""
    from monai_ceph.reports.study_tables import study_tables
    from monai_ceph.reports.tables import write_table
    from monai_ceph.storage.written_files import WrittenFiles

    written = WrittenFiles(folder)
    for table in study_tables(study, measurements, challenge):
        with written.writing(table.name) as part:
            if profile is None:
                write_table(part, table.columns, table.rows)
            else:
                write_table(part, (*table.columns, "profile"), ([*row, profile.name] for row in table.rows))


def _write_figures(study: Study, folder: Path, title: str, doctors: Row | None) -> None:
    from monai_ceph.reports.figures import save_figure, study_figures
    from monai_ceph.storage.written_files import WrittenFiles

    written = WrittenFiles(folder)
    for figure in study_figures(study, title, doctors.label if doctors else "doctors"):
        save_figure(figure, written.writing)
