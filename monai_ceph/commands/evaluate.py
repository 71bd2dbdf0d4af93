"""``monai-ceph evaluate``: the challenge's measures on an annotated dataset."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from monai_ceph.commands.console import console, messages, stop
from monai_ceph.commands.options import Device, Overlay, check_spacing
from monai_ceph.commands.progress import Progress
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.detection import Stage
    from monai_ceph.evaluation import Row

__all__ = ["evaluate"]


class Split(str, Enum):
    """Splits of ISBI 2015."""

    TRAIN = "train"
    TEST1 = "test1"
    TEST2 = "test2"


class GroundTruth(str, Enum):
    """Annotations of ISBI 2015."""

    MEAN = "mean"
    SENIOR = "senior"
    JUNIOR = "junior"


class Method(str, Enum):
    """What is evaluated: the rows of the paper's table 1."""

    FULL = "full"
    NO_EXPANSION = "no-expansion"
    GLOBAL = "global"


def evaluate(
    dataset: Annotated[Path, typer.Argument(help="ISBI 2015 folder, or a folder with landmarks.csv.")],
    split: Annotated[Split, typer.Option(help="Part of ISBI 2015 to evaluate.")] = Split.TEST1,
    ground_truth: Annotated[GroundTruth, typer.Option(help="Annotations of ISBI 2015.")] = GroundTruth.MEAN,
    method: Annotated[
        Method, typer.Option(help="Both stages, both without expansion, or only the first.")
    ] = Method.FULL,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the dataset says.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for the figures.")] = None,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Detect on an annotated dataset, and print MRE, SD and SDR, in total and per landmark."""
    from dataclasses import replace
    from importlib.resources import files

    from monai_ceph.datasets import is_isbi2015, open_dataset
    from monai_ceph.datasets.isbi2015 import DOUBLES_OF_TRAINING
    from monai_ceph.reports.json_result import may_replace

    if json_file is not None and json_file.is_dir():
        stop(f"--json {json_file} is a folder, and must be a file")
    if json_file is not None and not may_replace(json_file, ("dataset", "model", "rows", "landmarks")):
        stop(f"--json {json_file} was not written by evaluate. Move it, or choose another file")
    check_spacing(pixel_spacing)
    bundles = files("monai_ceph") / "bundles"
    overlays = [str(bundles / "overlays" / "no_expansion.json")] if method is Method.NO_EXPANSION else []
    try:
        films = open_dataset(dataset, split.value, ground_truth.value)
        if pixel_spacing is not None:
            films = [replace(film, pixel_spacing=pixel_spacing) for film in films]
        with Progress(messages) as progress:
            progress.step("loading the model")
            progress.total(len(films))
            from monai_ceph.detection import CephalogramDetector
            from monai_ceph.evaluation import evaluate as run

            detector = CephalogramDetector(device, overlays=[*overlays, *map(str, config or ())])
            progress.step("evaluating")
            stage: Stage = "global" if method is Method.GLOBAL else "local"
            result = run(films, detector, stage, lambda film: progress.advance())
    except (CephError, OSError) as error:
        stop(error)
    name = dataset.resolve().name
    truth = f"{split.value}, {ground_truth.value}" if is_isbi2015(dataset) else name
    rows = [result.total(f"all {len(films)} films")]
    if is_isbi2015(dataset) and split is Split.TEST1:
        doubles = frozenset(DOUBLES_OF_TRAINING.values())
        rows.append(result.total(f"without the {len(doubles)} doubled", doubles))
    console.print(_table(f"{truth}, {method.value}", rows))
    landmarks = result.per_landmark()
    console.print(_table("per landmark", landmarks))
    console.print(
        "mean seconds per film: "
        + ", ".join(f"{part.replace('_', ' ')} {value:.3f}" for part, value in result.seconds.items())
    )
    if json_file is not None:
        figures = {
            "dataset": name,
            "split": split.value if is_isbi2015(dataset) else None,
            "ground_truth": ground_truth.value if is_isbi2015(dataset) else None,
            "method": method.value,
            "model": detector.identity.model_dump(),
            "rows": [row.as_dictionary() for row in rows],
            "landmarks": [row.as_dictionary() for row in landmarks],
            "seconds": result.seconds,
        }
        from monai_ceph.storage.atomic import written_beside

        try:
            with written_beside(json_file) as part:
                part.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            stop(error)


def _table(title: str, rows: list[Row]) -> Table:
    from monai_ceph.metrics import SDR_THRESHOLDS

    caption = "missing: not found, out of annotated. MRE and SD in mm without them; SDR in % counts them as failures"
    # 80 columns hold it
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", no_wrap=True, min_width=24)
    for name in ("missing", "MRE", "SD", *(f"{threshold:g} mm" for threshold in SDR_THRESHOLDS)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        figures = (f"{row.mre:.3f}", f"{row.sd:.3f}", *(f"{rate:.2f}" for rate in row.sdr))
        table.add_row(escape(row.label), f"{row.missing}/{row.annotated}", *figures)
    return table
