"""``monai-ceph detect``: landmarks on many films."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_ceph.commands.console import (
    EXIT_INTERRUPTED,
    EXIT_NOTHING_DONE,
    EXIT_SOME_FAILED,
    EXIT_STOPPED,
    console,
    messages,
    need_extra,
    say,
    stop,
)
from monai_ceph.commands.options import Device, ObjectsFile, Overlay, ProfileFile, Trusted, check_objects, check_spacing
from monai_ceph.errors import CephError
from monai_ceph.review import READINGS, REVIEWS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monai_ceph.archives.targets import Sender
    from monai_ceph.work.executors import MakeExecutor

__all__ = ["detect"]


class Engine(str, Enum):
    """Where the workers of a run are: on this machine or on a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


class Names(str, Enum):
    """How films are named in the results."""

    PATH = "path"
    UID = "uid"


def detect(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Films, and folders that are searched to any depth.", show_default=False)
    ] = None,
    archives: Annotated[
        list[str] | None,
        typer.Option("--from", help="Archive to take films from: dicomweb://HOST/ROOT?PatientID=4711"),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="Archive that gets the DICOM objects: dicomweb://HOST/ROOT or dicom://AE_TITLE@HOST:PORT; or "
            "fhir://HOST/BASE, a FHIR server that gets the measurements.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            help="csv, parquet, json, markups, overlay, tracing, tracing-png, sr, gsps, sc, pdf, fhir or all, with "
            "commas. Default: csv,json,overlay."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that detect. Default: 1; on Ray, as many as the cluster has room for."),
    ] = None,
    film_timeout: Annotated[
        float | None,
        typer.Option(min=0.001, max=86400, help="Seconds that a film may take. Default: no limit."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Where the workers are: on this machine, or on a Ray cluster.")
    ] = Engine.LOCAL,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the cluster. Default: RAY_ADDRESS, else a cluster on this machine.")
    ] = None,
    ray_cpus: Annotated[int, typer.Option(min=1, help="CPUs of a Ray worker without a GPU.")] = 4,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete the results of earlier runs in --out, and detect on all films.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try films again that failed before.")] = False,
    names: Annotated[
        Names | None,
        typer.Option(
            help="Name films by their path below the folder given, or DICOM films by their UID where folders are named "
            "after patients. [default: path; uid with --deidentify]",
            show_default=False,
        ),
    ] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Write results without identity; UIDs are replaced.")
    ] = False,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the files say.")] = None,
    force: Annotated[bool, typer.Option(help="Accept images that do not look like a cephalogram.")] = False,
    circles: Annotated[
        bool,
        typer.Option(
            "--circles",
            help="Draw the circle in which each landmark lies in 90 % of cases, on overlays, tracings and GSPS.",
        ),
    ] = False,
    objects_config: ObjectsFile = None,
    profile: ProfileFile = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Find the 19 landmarks on every film. To continue an interrupted run, give the same command again.

    Exit code: 0 if every film is done or uncertain, 1 if some are rejected, failed, not listed, not sent, or share a
    UID with another image, 2 if nothing could be done, 3 if the run stopped before its end, such as on a full disk, 130
    if it was interrupted.
    """
    if not paths and not archives:
        stop("nothing to do: name films, folders, or an archive with --from")
    if deidentify and targets:
        stop("--deidentify and --to cannot be used together: results without identity belong to no patient's study")
    check_spacing(pixel_spacing)
    if out.exists() and not out.is_dir():
        stop(f"--out {out} is a file, and must be a folder")
    if ray_address is not None and engine is not Engine.RAY:
        stop("--ray-address needs --engine ray")
    if deidentify and names is Names.PATH:
        stop("--names path and --deidentify cannot be used together: paths may name patients")
    from functools import partial

    from monai_ceph import batch
    from monai_ceph.commands.screen import Screen
    from monai_ceph.errors import StoppedError
    from monai_ceph.profiles import load_profile
    from monai_ceph.work.film import make_detector
    from monai_ceph.work.fingerprint import model_fingerprint
    from monai_ceph.work.remote import url_of

    try:
        wanted = batch.parse_formats(formats or ())
        if "pdf" in wanted:
            need_extra("report", "reportlab")
        if "fhir" in wanted:
            need_extra("fhir", "fhir")
        objects = wanted & batch.OBJECT_FORMATS | batch.DEFAULT_OBJECTS
        senders = _archives(archives or [], targets or [], objects)
        kinds = {kind for sender in senders.values() for kind in sender.objects}
        if "fhir" in kinds - wanted:
            need_extra("fhir", "fhir")
            wanted |= {"fhir"}
        if kinds & batch.OBJECT_FORMATS and wanted.isdisjoint(batch.OBJECT_FORMATS):
            wanted |= batch.DEFAULT_OBJECTS
        options = batch.Options(
            formats=wanted,
            workers=workers or 1,
            film_timeout=film_timeout,
            restart=restart,
            retry_failed=retry_failed,
            names=(names or Names.PATH).value,
            deidentify=deidentify,
            force=force,
            pixel_spacing=pixel_spacing,
            circles=circles,
            objects=check_objects(objects_config),
        )
        screen = Screen(console, messages)
        gone = [path for path in paths or () if url_of(path) is None and not os.path.lexists(path)]
        for path in gone:
            messages.print(f"{path}: no such file or folder", markup=False, highlight=False, soft_wrap=True)
        if paths and len(gone) == len(paths) and not archives:
            # nothing was written, and the model was not loaded
            raise typer.Exit(EXIT_NOTHING_DONE)
        with batch.orderly_end() as interrupted, screen.progress:
            overlays = tuple(config or ())
            chosen = load_profile(profile) if profile is not None else None
            profile_sha256 = chosen.identity().sha256 if chosen is not None else None
            make_executor: MakeExecutor | None = None
            elsewhere = False
            if engine is Engine.RAY:
                from monai_ceph.work.ray_cluster import RayExecutor
                from monai_ceph.work.ray_connection import finds_a_cluster

                elsewhere = finds_a_cluster(ray_address)
                gpu = None if device is None else device.startswith("cuda")
                make_executor = partial(RayExecutor, address=ray_address, workers=workers, cpus=ray_cpus, gpu=gpu)
            summary = batch.detect_films(
                [*(paths or ()), *map(Path, archives or ())],
                out,
                partial(make_detector, device, overlays, chosen),
                options,
                on_total=screen.progress.total,
                on_film=screen.on_film,
                on_step=screen.progress.step,
                interrupted=interrupted,
                make_executor=make_executor,
                senders=senders,
                # on another cluster, only its nodes know which model they have
                fingerprint=None
                if elsewhere
                else partial(model_fingerprint, device, overlays, engine.value, profile_sha256),
            )
    except KeyboardInterrupt:
        stop(f"interrupted. The results so far are in {out}; the same command continues the run", EXIT_INTERRUPTED)
    except StoppedError as error:
        stop(f"{error}. The results so far are kept; the same command continues the run", EXIT_STOPPED)
    except (CephError, OSError) as error:
        stop(error)
    screen.end(summary, out, options)
    if kept := [name for name in (REVIEWS, READINGS) if (out / name).is_dir()]:
        say(f"The reviews in {' and '.join(str(out / name) for name in kept)} were left as they are.")
    if summary.in_errors or summary.clashes or summary.not_sent or summary.not_listed:
        raise typer.Exit(EXIT_SOME_FAILED if summary.with_landmarks else EXIT_NOTHING_DONE)


def _archives(sources: list[str], targets: list[str], objects: Collection[str]) -> Mapping[str, Sender]:
    """Check the archives that films come from and results go to; return a sender for each of the latter."""
    if not sources and not targets:
        return {}
    need_extra("pacs", "pynetdicom", "dicomweb_client")
    from monai_ceph.archives.urls import place_of, senders_of

    for url in sources:
        if url.startswith("dicom://"):
            stop(f"--from {url}: use dicomweb://HOST/ROOT. For C-MOVE a node must run, see monai-ceph fetch")
        place_of(url)
    return senders_of(targets, objects)
