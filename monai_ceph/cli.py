"""The command line: ``monai-ceph``."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from monai_ceph.errors import CephError
from monai_ceph.version import __version__

if TYPE_CHECKING:
    from monai_ceph.evaluation import Row
    from monai_ceph.result import Detection

__all__ = ["app"]

# what a shell script can rely on; documented in the README
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2

# films in the table on the screen; the files hold them all
_SHOWN = 20

app = typer.Typer(
    help="Landmarks on lateral cephalograms. Research use, not a medical device; a trained person reviews all results.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console()
messages = Console(stderr=True)


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


class FileFormat(str, Enum):
    """How phantoms are written."""

    DICOM = "dicom"
    PNG = "png"


def _stop(error: Exception | str, code: int = EXIT_NOTHING_DONE) -> NoReturn:
    text = _reason(error) if isinstance(error, Exception) else error
    messages.print(f"monai-ceph: {text}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _reason(error: Exception) -> str:
    """The message, with the file first where the operating system refused one."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=messages,
        disable=not sys.stderr.isatty(),
    )


def _version(shown: bool) -> None:
    if shown:
        console.print(f"monai-ceph {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


Device = Annotated[str | None, typer.Option(help="Torch device, such as cpu or cuda:0; the GPU if there is one.")]
Overlay = Annotated[list[Path] | None, typer.Option("--config", help="Bundle config that changes single keys.")]


@app.command()
def detect(
    paths: Annotated[list[Path], typer.Argument(help="Films, and folders that are searched to any depth.")],
    out: Annotated[Path, typer.Option(help="Folder for landmarks.csv, errors.csv and overlays/.")],
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the files say.")] = None,
    force: Annotated[bool, typer.Option(help="Keep what does not look like a cephalogram.")] = False,
    overlays: Annotated[bool, typer.Option(help="Draw a picture per film.")] = True,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Find the 19 landmarks on every film.

    Exit code: 0 if every film is done, 1 if some stand in errors.csv, 2 if nothing could be done.
    """
    if pixel_spacing is not None and not 0 < pixel_spacing < 10:
        _stop(f"--pixel-spacing {pixel_spacing} is no length of a pixel in mm")
    if out.exists() and not out.is_dir():
        _stop(f"--out {out} is a file, and must be a folder")
    from monai_ceph.batch import detect_films
    from monai_ceph.detection import CephalogramDetector

    detections: list[Detection] = []

    def on_film(film: Path, outcome: Detection | CephError) -> None:
        progress.advance(task)
        if isinstance(outcome, CephError):
            progress.console.print(str(outcome), style="yellow", markup=False, highlight=False, soft_wrap=True)
            return
        for warning in outcome.warnings:
            progress.console.print(f"{film}: {warning}", style="dim", markup=False, highlight=False, soft_wrap=True)
        if len(detections) < _SHOWN:
            detections.append(outcome)

    try:
        with _progress() as progress:
            task = progress.add_task("detecting", total=None)
            summary = detect_films(
                paths,
                out,
                CephalogramDetector(device, overlays=config or ()),
                pixel_spacing=pixel_spacing,
                force=force,
                overlays=overlays,
                on_start=lambda count: progress.update(task, total=count),
                on_film=on_film,
            )
    except KeyboardInterrupt:
        _stop(f"interrupted; what was done stands in {out}", 130)
    except (CephError, OSError) as error:
        _stop(error)
    _print_detections(detections, summary.done)
    console.print(
        f"{summary.done} films done, {summary.failed} in errors.csv. Written to {out}: landmarks.csv, errors.csv"
        + (", overlays/" if overlays and summary.done else ""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print("Research use, not a medical device; a trained person reviews every result.", style="dim")
    if summary.failed:
        raise typer.Exit(EXIT_SOME_FAILED if summary.done else EXIT_NOTHING_DONE)


def _print_detections(detections: list[Detection], count: int) -> None:
    if not detections:
        return
    table = Table(Column("file", overflow="fold"), "ok", "uncertain", "missing", "mean score", "seconds")
    for each in detections:
        status = [mark.status for mark in each.landmarks]
        counts = [str(status.count(name)) for name in ("ok", "uncertain", "missing")]
        score = sum(mark.score for mark in each.landmarks) / len(each.landmarks)
        table.add_row(escape(each.file), *counts, f"{score:.2f}", f"{sum(each.seconds.values()):.2f}")
    console.print(table)
    if count > len(detections):
        console.print(f"... and {count - len(detections)} more")


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="ISBI 2015 folder, or a folder with landmarks.csv.")],
    split: Annotated[Split, typer.Option(help="Of ISBI 2015.")] = Split.TEST1,
    ground_truth: Annotated[GroundTruth, typer.Option(help="Of ISBI 2015.")] = GroundTruth.MEAN,
    method: Annotated[Method, typer.Option(help="Both stages, without expansion, or the first alone.")] = Method.FULL,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go as JSON.")] = None,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Print the paper's row (MRE, SD, SDR) and the table per landmark on an annotated dataset."""
    from importlib.resources import files

    from monai_ceph.datasets import is_isbi2015, open_dataset
    from monai_ceph.datasets.isbi2015 import DOUBLES_OF_TRAINING
    from monai_ceph.detection import CephalogramDetector
    from monai_ceph.evaluation import evaluate as run

    if json_file is not None and json_file.is_dir():
        _stop(f"--json {json_file} is a folder, and must be a file")
    bundles = files("monai_ceph") / "bundles"
    overlays = [str(bundles / "no_expansion.json")] if method is Method.NO_EXPANSION else []
    try:
        films = open_dataset(dataset, split.value, ground_truth.value)
        detector = CephalogramDetector(device, overlays=[*overlays, *map(str, config or ())])
        with _progress() as progress:
            task = progress.add_task("evaluating", total=len(films))
            result = run(
                films,
                detector,
                "global" if method is Method.GLOBAL else "local",
                lambda film: progress.advance(task),
            )
    except (CephError, OSError) as error:
        _stop(error)
    name = dataset.resolve().name
    truth = f"{split.value}, {ground_truth.value}" if is_isbi2015(dataset) else name
    rows = [result.total(f"all {len(films)} films")]
    if is_isbi2015(dataset) and split is Split.TEST1:
        doubles = frozenset(DOUBLES_OF_TRAINING.values())
        rows.append(result.total(f"without the {len(doubles)} doubled", doubles))
    console.print(_table(f"{truth}, {method.value}", rows))
    landmarks = result.per_landmark()
    console.print(_table("per landmark", landmarks))
    console.print("mean seconds per film: " + ", ".join(f"{k} {v:.3f}" for k, v in result.seconds.items()))
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
        from monai_ceph.reports.atomic import written_beside

        try:
            with written_beside(json_file) as part:
                part.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            _stop(error)


def _table(title: str, rows: list[Row]) -> Table:
    from monai_ceph.metrics import SDR_THRESHOLDS

    table = Table(title=title, caption="MRE and SD in mm, SDR in % within", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True, min_width=24)
    for name in ("MRE", "SD", *(f"{threshold:g} mm" for threshold in SDR_THRESHOLDS)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(escape(row.label), f"{row.mre:.3f}", f"{row.sd:.3f}", *(f"{rate:.2f}" for rate in row.sdr))
    return table


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder; made if it is not there.")],
    count: Annotated[int, typer.Option(min=1, help="How many films.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the first film.")] = 0,
    file_format: Annotated[FileFormat, typer.Option("--format", help="DICOM DX or PNG.")] = FileFormat.DICOM,
) -> None:
    """Draw synthetic cephalograms with exactly known landmarks: films, and landmarks.csv."""
    from monai_ceph.datasets.phantom import write_phantoms

    try:
        out.mkdir(parents=True, exist_ok=True)
        written = write_phantoms(out, count, seed, file_format=file_format.value)
    except (CephError, OSError) as error:
        _stop(error)
    console.print(f"{len(written)} phantoms and landmarks.csv in {out}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def template(
    file: Annotated[str, typer.Argument(help="Name of the film in the rows.")] = "film-001.png",
) -> None:
    """Print an empty landmarks.csv, the annotation table of a dataset folder."""
    from monai_ceph.datasets.folder import template as text

    print(text(file), end="")


if __name__ == "__main__":
    app()
