"""The commands of the node. What they need beyond the core package is imported when they run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import (
    EXIT_NOTHING_DONE,
    EXIT_SOME_FAILED,
    EXIT_STOPPED,
    console,
    messages,
    need_extra,
    stop,
)
from monai_ceph.commands.progress import Progress
from monai_ceph.errors import CephError, StoppedError

__all__ = ["fetch", "node"]

_MODULES = ("pynetdicom", "dicomweb_client", "fastapi", "uvicorn", "jinja2", "prometheus_client")

# what the node writes has patients in it, and is read by the node alone, whatever the shell or the service says
_OWNER_ALONE = 0o077


def node(
    config: Annotated[Path, typer.Option(help="YAML file; deploy/node.yaml is one to start from.")],
    check: Annotated[bool, typer.Option("--check", help="Check the file and its certificates, and stop.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="Print the audit as lines of JSON, and stop.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Begin all dead letters anew, and stop; no node may run.")
    ] = False,
) -> None:
    """Receive cephalograms over DICOM, detect, and send reports and presentation states back. Ends at SIGTERM.

    Exit code: 0 after an orderly end, 2 if the configuration or the command does not work, 3 if the node had to stop.
    """
    need_extra("pacs", *_MODULES)
    os.umask(_OWNER_ALONE)
    import json
    from functools import partial

    from monai_ceph.pacs.check import check_node, check_owner, open_to_others
    from monai_ceph.pacs.config_file import read_config
    from monai_ceph.pacs.folder import audit_rows, retry_all
    from monai_ceph.pacs.logs import log_json
    from monai_ceph.pacs.node import run_node
    from monai_ceph.work.film import make_detector

    try:
        settings = read_config(config)
        check_node(settings)
        if audit or retry:
            check_owner(settings.folder)
        if check:
            if (said := open_to_others(settings.folder)) is not None:
                messages.print(said, markup=False, highlight=False, soft_wrap=True)
            console.print(f"{config}: ok", markup=False, highlight=False, soft_wrap=True)
        elif audit:
            for row in audit_rows(settings):
                print(json.dumps(row))
        elif retry:
            begun, taken_away = retry_all(settings)
            console.print(f"{begun} dead letters begin anew", highlight=False)
            if taken_away:
                said = f"{taken_away} were taken away from {settings.folder / 'dead'}, and stay away"
                console.print(said, markup=False, highlight=False, soft_wrap=True)
        else:
            log_json()
            run_node(settings, partial(make_detector, settings.detect.device, settings.detect.config))
    except StoppedError as error:
        stop(error, EXIT_STOPPED)
    except (CephError, OSError) as error:
        stop(error)


def fetch(
    config: Annotated[Path, typer.Option(help="YAML file of the node.")],
    source: Annotated[str, typer.Option(help="Name of one of its sources.")],
    study: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    patient: Annotated[str | None, typer.Option(help="Patient ID.")] = None,
    date: Annotated[str | None, typer.Option(help="Study date: 20260131, or 20260101-20260131.")] = None,
    modality: Annotated[str | None, typer.Option(help="Of the series.")] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Print the UIDs of what would be fetched, and stop.")
    ] = False,
) -> None:
    """Have the node take films from an archive: what matches, and may be a cephalogram by what it says.

    Exit code: 0 if all that was found is with the node, 1 if some are not, 2 if none is, or nothing could be asked.
    """
    need_extra("pacs", *_MODULES)
    os.umask(_OWNER_ALONE)
    from monai_ceph.archives.query import Query
    from monai_ceph.pacs.config_file import read_config
    from monai_ceph.pacs.fetch import fetch_films

    try:
        query = Query(study, patient, date, modality)
        if query.empty:
            stop("nothing to look for: give --study, --patient, --date or --modality")
        settings = read_config(config)
        with Progress(messages) as progress:

            def fetching(count: int) -> None:
                progress.step("fetching")
                progress.total(count)

            progress.step("asking the archive")
            result = fetch_films(
                settings, source, query, only_list, on_found=fetching, on_film=lambda: progress.advance()
            )
    except (CephError, OSError) as error:
        stop(error)
    for uid in result.found:
        if only_list:
            print(uid)
    for cause in result.causes:
        console.print(cause, markup=False, highlight=False, soft_wrap=True)
    if not only_list:
        console.print(f"{len(result.found)} found, {result.taken} with the node")
    if result.causes or not result.found:
        some = bool(result.found) if only_list else result.taken > 0
        raise typer.Exit(EXIT_SOME_FAILED if some else EXIT_NOTHING_DONE)
