"""The command line: ``monai-ceph``."""

from __future__ import annotations

import json
import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from monai_ceph.console import (
    EXIT_INTERRUPTED,
    EXIT_NOTHING_DONE,
    EXIT_SOME_FAILED,
    EXIT_STOPPED,
    console,
    messages,
    need_extra,
    print_any_text,
    stop,
)
from monai_ceph.errors import CephError
from monai_ceph.labelling.command import label
from monai_ceph.memory import keep_freed_memory
from monai_ceph.pacs.commands import fetch, node
from monai_ceph.progress import Progress
from monai_ceph.version import __version__
from monai_ceph.zoo.command import bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monai_ceph.batch.executors import MakeExecutor
    from monai_ceph.detection import Stage
    from monai_ceph.evaluation import Row
    from monai_ceph.pacs.targets import Sender

__all__ = ["app"]

app = typer.Typer(
    help="Landmarks on lateral cephalograms. Research use, not a medical device; a trained person reviews all results.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


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


class Engine(str, Enum):
    """Where the workers of a run are."""

    LOCAL = "local"
    RAY = "ray"


class FileFormat(str, Enum):
    """How phantoms are written."""

    DICOM = "dicom"
    PNG = "png"


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
    keep_freed_memory()
    print_any_text()


Device = Annotated[str | None, typer.Option(help="Torch device, such as cpu or cuda:0; the GPU if there is one.")]
Overlay = Annotated[list[Path] | None, typer.Option("--config", help="Bundle config that changes single keys.")]


@app.command()
def detect(
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Films, and folders that are searched to any depth.", show_default=False)
    ] = None,
    archives: Annotated[
        list[str] | None,
        typer.Option("--from", help="Archive to take films from: dicomweb://HOST/ROOT?PatientID=4711"),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--to", help="Archive that gets SR and GSPS: dicomweb://HOST/ROOT or dicom://AE_TITLE@HOST:PORT"),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(help="Of csv, parquet, json, overlay, sr, gsps, all; csv,json,overlay if nothing is said."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that each hold the model: 1; on Ray as many as there is room for."),
    ] = None,
    film_timeout: Annotated[
        float | None,
        typer.Option(min=0.001, max=86400, help="Seconds that a film may take; without it as long as it needs."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Where they are: on this machine, or on a Ray cluster.")
    ] = Engine.LOCAL,
    ray_address: Annotated[
        str | None, typer.Option(help="Of the cluster; RAY_ADDRESS or, without it, this machine alone.")
    ] = None,
    ray_cpus: Annotated[int, typer.Option(min=1, help="Of a worker without a GPU, on Ray.")] = 4,
    resume: Annotated[bool, typer.Option(help="Leave alone what was done before with the same settings.")] = True,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do again what failed before.")] = False,
    identify: Annotated[
        bool, typer.Option("--identify", help="Call DICOM films by their paths, not by their UIDs.")
    ] = False,
    deidentify: Annotated[bool, typer.Option("--deidentify", help="Write results without identity.")] = False,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the files say.")] = None,
    force: Annotated[bool, typer.Option(help="Keep what does not look like a cephalogram.")] = False,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Find the 19 landmarks on every film. The same command goes on where an interrupted run stopped.

    Exit code: 0 if every film is done or uncertain, 1 if some are rejected, failed, not listed, not sent, or share a
    UID with another image, 2 if nothing could be done, 3 if the run stopped before its end, such as on a full disk, 130
    if it was interrupted.
    """
    if not paths and not archives:
        stop("nothing to do: name films, folders, or an archive with --from")
    if deidentify and targets:
        stop("--deidentify and --to exclude each other: results without identity belong to no patient's study")
    _check_spacing(pixel_spacing)
    if out.exists() and not out.is_dir():
        stop(f"--out {out} is a file, and must be a folder")
    if ray_address is not None and engine is not Engine.RAY:
        stop("--ray-address needs --engine ray")
    if identify and deidentify:
        stop("--identify and --deidentify exclude each other")
    from functools import partial

    from monai_ceph import batch
    from monai_ceph.batch.film import make_detector
    from monai_ceph.batch.remote import url_of
    from monai_ceph.batch.screen import Screen
    from monai_ceph.errors import StoppedError
    from monai_ceph.fingerprint import model_fingerprint

    try:
        senders, wanted = _archives(archives or [], targets or []), batch.parse_formats(formats or ())
        if senders and wanted.isdisjoint(batch.OBJECT_FORMATS):
            wanted |= batch.OBJECT_FORMATS
        options = batch.Options(
            formats=wanted,
            workers=workers or 1,
            film_timeout=film_timeout,
            resume=resume,
            retry_failed=retry_failed,
            identify=identify,
            deidentify=deidentify,
            force=force,
            pixel_spacing=pixel_spacing,
        )
        screen = Screen(console, messages)
        for path in paths or ():
            if url_of(path) is None and not os.path.lexists(path):
                messages.print(f"{path}: no such file or folder", markup=False, highlight=False, soft_wrap=True)
        with batch.orderly_end() as interrupted, screen.progress:
            overlays = tuple(config or ())
            make_executor: MakeExecutor | None = None
            elsewhere = False
            if engine is Engine.RAY:
                from monai_ceph.batch.ray_cluster import RayExecutor
                from monai_ceph.batch.ray_connection import finds_a_cluster

                elsewhere = finds_a_cluster(ray_address)
                gpu = None if device is None else device.startswith("cuda")
                make_executor = partial(RayExecutor, address=ray_address, workers=workers, cpus=ray_cpus, gpu=gpu)
            summary = batch.detect_films(
                [*(paths or ()), *map(Path, archives or ())],
                out,
                partial(make_detector, device, overlays),
                options,
                on_total=screen.progress.total,
                on_film=screen.on_film,
                on_step=screen.progress.step,
                interrupted=interrupted,
                make_executor=make_executor,
                senders=senders,
                # only the nodes of a cluster know what their model is
                fingerprint=None if elsewhere else partial(model_fingerprint, device, overlays, engine.value),
            )
    except KeyboardInterrupt:
        stop(f"interrupted; what was done stands in {out}, and the same command goes on", EXIT_INTERRUPTED)
    except StoppedError as error:
        stop(f"{error}. What was done stands, and the same command goes on", EXIT_STOPPED)
    except (CephError, OSError) as error:
        stop(error)
    screen.end(summary, out, options)
    if summary.in_errors or summary.clashes or summary.not_sent or summary.not_listed:
        raise typer.Exit(EXIT_SOME_FAILED if summary.with_landmarks else EXIT_NOTHING_DONE)


def _check_spacing(pixel_spacing: float | None) -> None:
    if pixel_spacing is None:
        return
    from monai_ceph.readers.radiograph import LARGEST_PIXEL, SMALLEST_PIXEL, plausible_spacing

    if not plausible_spacing(pixel_spacing, pixel_spacing):
        limits = f"{SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}"
        stop(f"--pixel-spacing {pixel_spacing:g} is not the size of a pixel: give mm, from {limits}")


def _archives(sources: list[str], targets: list[str]) -> Mapping[str, Sender]:
    """Check what archives films come from and results go to; return the ways to the latter."""
    if not sources and not targets:
        return {}
    need_extra("pacs", "pynetdicom", "dicomweb_client")
    from monai_ceph.pacs.urls import place_of, senders_of

    for url in sources:
        if url.startswith("dicom://"):
            stop(f"--from {url}: C-MOVE sends to a node, see monai-ceph fetch; DICOMweb is dicomweb://HOST/ROOT")
        place_of(url)
    return senders_of(targets)


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="ISBI 2015 folder, or a folder with landmarks.csv.")],
    split: Annotated[Split, typer.Option(help="Of ISBI 2015.")] = Split.TEST1,
    ground_truth: Annotated[GroundTruth, typer.Option(help="Of ISBI 2015.")] = GroundTruth.MEAN,
    method: Annotated[Method, typer.Option(help="Both stages, without expansion, or the first alone.")] = Method.FULL,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the dataset says.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go as JSON.")] = None,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Print the paper's row (MRE, SD, SDR) and the table per landmark on an annotated dataset."""
    from dataclasses import replace
    from importlib.resources import files

    from monai_ceph.datasets import is_isbi2015, open_dataset
    from monai_ceph.datasets.isbi2015 import DOUBLES_OF_TRAINING
    from monai_ceph.reports.json_result import may_replace

    if json_file is not None and json_file.is_dir():
        stop(f"--json {json_file} is a folder, and must be a file")
    if json_file is not None and not may_replace(json_file, ("dataset", "model", "rows", "landmarks")):
        stop(f"--json {json_file} was not written by evaluate. Move it, or choose another file")
    _check_spacing(pixel_spacing)
    bundles = files("monai_ceph") / "bundles"
    overlays = [str(bundles / "no_expansion.json")] if method is Method.NO_EXPANSION else []
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


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder; made if it is not there.")],
    count: Annotated[int, typer.Option(min=1, help="How many films.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the first film.")] = 0,
    file_format: Annotated[FileFormat, typer.Option("--format", help="DICOM DX or PNG.")] = FileFormat.DICOM,
) -> None:
    """Draw synthetic cephalograms with exactly known landmarks: films, and landmarks.csv. Nothing is replaced."""
    from monai_ceph.datasets.phantom import phantom_names, write_phantoms

    try:
        for name in phantom_names(count, file_format.value):
            if (out / name).exists():
                stop(f"{out / name} is there already; give another folder")
        with Progress(messages) as progress:
            progress.step("drawing")
            progress.total(count)
            written = write_phantoms(
                out, count, seed, file_format=file_format.value, on_film=lambda film: progress.advance()
            )
    except (CephError, OSError) as error:
        stop(error)
    console.print(f"{len(written)} phantoms and landmarks.csv in {out}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a result, the files in json/."""
    from monai_ceph.reports.json_result import result_schema

    print(result_schema(), end="")


@app.command()
def template(
    films: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Films, by the names that the rows get, and folders, whose films get a path relative to it."
        ),
    ] = None,
    landmarks: Annotated[
        str | None, typer.Option(help="Symbols of a set of your own, with commas between; the 19 if nothing is said.")
    ] = None,
) -> None:
    """Print an empty landmarks.csv, the annotation table of a dataset folder."""
    from monai_ceph.datasets.folder import template as text
    from monai_ceph.landmarks import SYMBOLS
    from monai_ceph.readers import iter_radiographs

    symbols = [symbol.strip() for symbol in landmarks.split(",")] if landmarks is not None else SYMBOLS
    if not all(symbols) or len(set(symbols)) < len(symbols):
        stop(f"--landmarks {landmarks}: each landmark needs a symbol of its own")
    names: list[str] = []
    for path in films or [Path("film-001.png")]:
        found = (
            [each.relative_to(path).as_posix() for each in iter_radiographs([path])] if path.is_dir() else [str(path)]
        )
        if not found:
            stop(f"{path}: no film in it")
        names += [name for name in found if name not in names]
    print(text(names, symbols), end="")


app.command()(bundle)
app.command()(label)
app.command()(node)
app.command()(fetch)


if __name__ == "__main__":
    app()
