"""``monai-ceph node ...`` and ``monai-ceph fetch``. Modules of the extra ``pacs`` are imported when a command runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from monai_ceph.pacs.config import NodeConfig

__all__ = ["fetch", "node"]

_MODULES = ("pynetdicom", "dicomweb_client", "fastapi", "uvicorn", "python_multipart", "jinja2", "prometheus_client")

# the node's files contain patient data: only its own user may read them, whatever umask the shell or service has
_OWNER_ONLY = 0o077

Config = Annotated[Path, typer.Option(help="YAML file of the node; start from deploy/node.yaml.")]

node = typer.Typer(
    help="A DICOM node: it receives cephalograms, detects landmarks, and sends reports back.", no_args_is_help=True
)


@node.command()
def run(config: Config) -> None:
    """Run the node until SIGTERM: receive films over DICOM, detect, and send reports and presentation states back.

    Exit code: 0 after an orderly end, 2 if the configuration does not work, 3 if the node had to stop.
    """
    with _settings(config) as settings:
        from functools import partial

        from monai_ceph.commands.signed_films import SignedFilmReader
        from monai_ceph.pacs.logs import log, log_json
        from monai_ceph.pacs.node import run_node
        from monai_ceph.profiles import load_profile
        from monai_ceph.work.film import make_detector

        log_json()
        detect = settings.detect
        try:
            profile = load_profile(detect.profile) if detect.profile is not None else None
            signed = SignedFilmReader(settings.review_folder) if settings.review_folder is not None else None
            run_node(settings, partial(make_detector, detect.device, detect.config, profile), signed)
        except (CephError, OSError) as error:
            # a line of JSON, as all lines of the log
            log("stopped", warning=True, cause=str(error))
            raise typer.Exit(EXIT_STOPPED if isinstance(error, StoppedError) else EXIT_NOTHING_DONE) from error


@node.command()
def check(config: Config) -> None:
    """Check the configuration, its certificates, the folder, the ports and the device, without starting a node.

    Exit code: 0 if a node can run with this configuration, 2 if not.
    """
    with _settings(config) as settings:
        from monai_ceph.pacs.check import open_to_others, unheard_reports

        folders = [each for each in (settings.folder, settings.review_folder) if each is not None]
        warnings = [warning for folder in folders if (warning := open_to_others(folder)) is not None]
        for warning in (*warnings, *unheard_reports(settings)):
            messages.print(warning, markup=False, highlight=False, soft_wrap=True)
        console.print(f"{config}: ok", markup=False, highlight=False, soft_wrap=True)


@node.command()
def health(config: Config) -> None:
    """Ask the node that runs with this configuration whether it is alive, as containers do.

    Exit code: 0 if it answers, 1 if not, 2 if the configuration cannot be read or has no http section.
    """
    need_extra("pacs", *_MODULES)
    from monai_ceph.pacs.config_file import read_config
    from monai_ceph.pacs.health import is_alive

    try:
        settings = read_config(config)
    except (CephError, OSError) as error:
        stop(error)
    if settings.http is None:
        stop(f"{config}: without http, a node cannot be asked")
    if (problem := is_alive(settings.http)) is not None:
        stop(problem, EXIT_SOME_FAILED)
    console.print("ok")


@node.command()
def audit(config: Config) -> None:
    """Print the node's audit log, one JSON object per line. The node may be running.

    Exit code: 0, or 2 if the audit log cannot be read.
    """
    with _settings(config, owner=True) as settings:
        import json

        from monai_ceph.pacs.folder import audit_rows

        for row in audit_rows(settings):
            print(json.dumps(row))


@node.command()
def retry(config: Config) -> None:
    """Put all dead letters back into the queue. The node must not be running.

    Exit code: 0, or 2 if the queue cannot be changed, such as while the node is running.
    """
    with _settings(config, owner=True) as settings:
        from monai_ceph.pacs.folder import retry_all

        queued, gone = retry_all(settings)
        console.print(f"{queued} dead letters will be tried again", highlight=False)
        if gone:
            text = f"{gone} were removed from {settings.folder / 'dead'} and cannot be tried again"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _settings(config: Path, owner: bool = False) -> Iterator[NodeConfig]:
    """Read and check the settings of the node, and turn errors into exit codes.

    Args:
        config: the YAML file.
        owner: refuse to work in a folder that belongs to another user.
    """
    need_extra("pacs", *_MODULES)
    os.umask(_OWNER_ONLY)
    from monai_ceph.pacs.check import check_node, check_owner
    from monai_ceph.pacs.config_file import read_config

    try:
        settings = read_config(config)
        check_node(settings)
        if owner:
            check_owner(settings.folder)
        yield settings
    except StoppedError as error:
        stop(error, EXIT_STOPPED)
    except (CephError, OSError) as error:
        stop(error)


def fetch(
    config: Config,
    source: Annotated[str, typer.Option(help="Name of a source in the YAML file.")],
    study: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    patient: Annotated[str | None, typer.Option(help="Patient ID.")] = None,
    date: Annotated[str | None, typer.Option(help="Study date: 20260131, or 20260101-20260131.")] = None,
    modality: Annotated[str | None, typer.Option(help="Modality of the series, such as DX.")] = None,
    only_list: Annotated[bool, typer.Option("--list", help="Only print the UIDs of the films that match.")] = False,
) -> None:
    """Fetch films from an archive for the node. They must match the query, and be cephalograms by their headers.

    Exit code: 0 if the node has every film found, 1 if it lacks some, 2 if it has none or the archive did not answer.
    """
    need_extra("pacs", *_MODULES)
    os.umask(_OWNER_ONLY)
    from monai_ceph.archives.query import Query
    from monai_ceph.pacs.config_file import read_config
    from monai_ceph.pacs.fetch import fetch_films

    try:
        query = Query(study, patient, date, modality)
        if query.empty:
            stop("no query: give --study, --patient, --date or --modality")
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
