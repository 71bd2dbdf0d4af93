"""``monai-ceph review``: see, correct and sign results in the browser; check the audit; write reviewed results."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from monai_ceph.commands.console import EXIT_SOME_FAILED, console, need_extra, say, stop
from monai_ceph.commands.options import Device, ObjectsFile, Overlay, check_exist, check_objects
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.archives.targets import Sender
    from monai_ceph.reports.object_settings import ObjectSettings

__all__ = ["review"]


class _ServesFirst(TyperGroup):
    """Takes ``review RESULTS`` for ``review serve RESULTS``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front, where no command is named."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["serve", *args]
        return super().parse_args(ctx, args)


review = typer.Typer(
    cls=_ServesFirst,
    help="See, correct and sign results in the browser: monai-ceph review RESULTS/ --films FOLDER.",
    no_args_is_help=True,
)

_Films = Annotated[
    list[Path] | None, typer.Option(help="The films of the results, or folders of them.", show_default=False)
]
_To = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        help="Archive that gets signed films: dicomweb://HOST/ROOT, dicom://AE_TITLE@HOST:PORT, fhir://HOST/BASE for "
        "a FHIR server, or a node's configuration, for all its targets.",
        show_default=False,
    ),
]
_Objects = Annotated[
    str, typer.Option(help="Objects to send: sr, gsps, pdf, sc, with commas. A node's configuration has its own list.")
]
_USUAL = "sr,gsps"
Results = Annotated[Path, typer.Argument(help="Folder of results that detect wrote, with json.", show_default=False)]


@review.command()
def serve(
    results: Results,
    films: _Films = None,
    host: Annotated[str, typer.Option(help="Address to listen on; other than this machine only with a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8010,
    reviewer: Annotated[
        str | None, typer.Option(help="Your name, as signatures have it; otherwise the page asks.", show_default=False)
    ] = None,
    blind: Annotated[
        bool, typer.Option(help="Hide the detection and other people's points; needs --reviewer.")
    ] = False,
    deidentify: Annotated[bool, typer.Option(help="Show no patient's name, id, birth date or sex.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that the browser needs.", show_default=False)
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Name by which browsers call this server, such as that of a proxy.", show_default=False),
    ] = None,
    to: _To = None,
    objects: _Objects = _USUAL,
    objects_config: ObjectsFile = None,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Open the page for a review, on this machine only unless --host and --token-file say otherwise.

    Research use, not a medical device. Detections are never changed: reviews go into the folder reviews of RESULTS.
    With --to, signed films are sent at once, and tried again until the archive confirms them. --device and --config are
    for heatmaps: say what you said to detect.
    """
    need_extra("review", "fastapi", "uvicorn")
    senders = _senders(to or [], objects)
    settings = _settings(objects_config, to or [])
    check_exist([results, *(films or ())])
    from monai_ceph.review.heatmaps import Heatmaps
    from monai_ceph.review.models import checked_name
    from monai_ceph.review.server import read_token
    from monai_ceph.review.server import serve as serve_until_interrupted
    from monai_ceph.review.service import ReviewService

    def ready(address: str) -> None:
        console.print(
            f"Open {address} in a browser. Ctrl-C ends the review.", markup=False, highlight=False, soft_wrap=True
        )

    try:
        name = None if reviewer is None else checked_name(reviewer)
        token = None if token_file is None else read_token(token_file)
        heatmaps = Heatmaps(device, tuple(config or ()))
        service = ReviewService(results, list(films or ()), name, blind, deidentify, senders, heatmaps, settings)
        serve_until_interrupted(service, host, port, token, ready, allow_host or ())
    except ValueError as error:
        stop(f"--reviewer: {error}")
    except (CephError, OSError) as error:
        stop(error)


@review.command()
def send(
    results: Results,
    to: _To,
    films: _Films = None,
    objects: _Objects = _USUAL,
    objects_config: ObjectsFile = None,
) -> None:
    """Send all signed films to an archive that did not confirm them yet, once.

    Exit code: 0 if the archives have all signed films, 1 if something was not confirmed, 2 if nothing was signed.
    """
    check_exist([results, *(films or ())])
    senders = _senders(to or [], objects)
    settings = _settings(objects_config, to or [])
    from monai_ceph.review import REVIEWS
    from monai_ceph.review.films import ResultFilms
    from monai_ceph.review.sending import send_signed
    from monai_ceph.review.store import RevisionStore

    try:
        sent = send_signed(ResultFilms(results, list(films or ()), settings), RevisionStore(results / REVIEWS), senders)
    except (CephError, OSError) as error:
        stop(error)
    for cause in sent.causes:
        say(cause)
    if not sent.films:
        stop("nothing to send: no film is signed")
    _print(f"{sent.confirmed} of {sent.films} signed films are confirmed")
    if sent.causes:
        raise typer.Exit(EXIT_SOME_FAILED)


@review.command()
def audit(
    results: Results,
    csv: Annotated[Path | None, typer.Option(help="File for the audit as a table.", show_default=False)] = None,
    verify: Annotated[
        list[Path] | None,
        typer.Option(help="Export, SR of an archive or copy of audit.head.json to compare with.", show_default=False),
    ] = None,
) -> None:
    """Check that no save or signature was changed or removed since, also those of blind readers.

    Exit code: 0 if all is as it was written, 1 if something is wrong, 2 if there is no review.
    """
    from monai_ceph.review import READINGS, REVIEWS
    from monai_ceph.review.audit import AUDIT, faults, foreign
    from monai_ceph.review.quotes import quotes
    from monai_ceph.review.study import audit_csv
    from monai_ceph.storage.written_files import WrittenFiles

    found = [results / REVIEWS, *sorted((results / READINGS).glob("*"))]
    folders = [folder for folder in found if (folder / AUDIT).exists() or any(folder.glob("*/*.json"))]
    if not folders:
        stop(f"{results}: nobody reviewed these results")
    try:
        wrong = [f"{folder}: {fault}" for folder in folders for fault in faults(folder)]
        quoted = [quote for path in verify or () for quote in quotes(path)]
        wrong += foreign(results / REVIEWS, quoted)
        for fault in wrong:
            _print(fault)
        if csv is not None:
            with WrittenFiles(csv.parent).writing(csv.name) as part:
                tables = [audit_csv(folder) for folder in folders]
                # one header for all
                part.write_text(tables[0] + "".join(table.partition("\n")[2] for table in tables[1:]), encoding="utf-8")
    except (CephError, OSError) as error:
        stop(error)
    if wrong:
        raise typer.Exit(EXIT_SOME_FAILED)
    _print("The audit is whole: every revision is as it was saved.")
    if quoted:
        _print(f"It has all {len(quoted)} lines that are quoted elsewhere.")


class As(str, Enum):
    """What an export is for."""

    RESULTS = "results"
    DATASET = "dataset"


@review.command()
def export(
    results: Results,
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    films: _Films = None,
    kind: Annotated[
        As, typer.Option("--as", help="results: tables, reports, SR; dataset: films and points to learn from.")
    ] = As.RESULTS,
    drafts: Annotated[bool, typer.Option(help="Also films that nobody signed.")] = False,
    objects: Annotated[
        str,
        typer.Option(
            help="DICOM objects among the results: sr, gsps, pdf, sc, with commas; pdf and sc of signed films."
        ),
    ] = _USUAL,
    objects_config: ObjectsFile = None,
) -> None:
    """Write the results after review: the points of persons, with their names.

    Exit code: 0 if films were written, 1 if some of them lack something, 2 if nothing was written.
    """
    check_exist([results, *(films or ())])
    kinds = _kinds(objects)
    from monai_ceph.review import REVIEWS
    from monai_ceph.review.export import export_dataset, export_results
    from monai_ceph.review.films import ResultFilms
    from monai_ceph.review.store import RevisionStore

    try:
        read = ResultFilms(results, list(films or ()), check_objects(objects_config))
        store = RevisionStore(results / REVIEWS)
        if kind is As.RESULTS:
            summary = export_results(read, store, out, drafts, kinds=kinds)
        else:
            summary = export_dataset(read, store, out, drafts)
    except (CephError, OSError) as error:
        stop(error)
    for film, reason in (*summary.left_out, *summary.notes):
        say(f"{film}: {reason}")
    for hint in summary.hints:
        say(hint)
    if not summary.written:
        stop("no film was written: none is signed. Sign in monai-ceph review, or add --drafts")
    _print(f"{summary.written} film{'' if summary.written == 1 else 's'} in {out}")
    if summary.notes:
        raise typer.Exit(EXIT_SOME_FAILED)


def _kinds(objects: str) -> set[str]:
    """Return the kinds that --objects names; stop the command for one that there is not."""
    from monai_ceph.review.documents import KINDS

    kinds = {name.strip().lower() for name in objects.split(",") if name.strip()}
    if not kinds or kinds - set(KINDS):
        stop(f"--objects {objects}: use some of {', '.join(KINDS)}")
    if "pdf" in kinds:
        need_extra("report", "reportlab")
    return kinds


def _senders(targets: list[str], objects: str) -> Mapping[str, Sender]:
    """Return a sender for each target, by its URL or name; stop the command for one that cannot be used."""
    if not targets:
        return {}
    need_extra("pacs", "pynetdicom", "dicomweb_client")
    from monai_ceph.archives.urls import senders_of

    kinds = _kinds(objects)
    found: dict[str, Sender] = {}
    try:
        for target in targets:
            if target.endswith((".yaml", ".yml")):
                found |= {sender.name: sender for sender in _targets_of_node(Path(target))}
            else:
                found |= senders_of([target], kinds)
    except CephError as error:
        stop(error)
    if any("pdf" in sender.objects for sender in found.values()):
        need_extra("report", "reportlab")
    if any("fhir" in sender.objects for sender in found.values()):
        need_extra("fhir", "fhir")
    return found


def _settings(file: Path | None, targets: list[str]) -> ObjectSettings:
    """Return the settings of the file, else those of the node whose targets are used, so that both make the same."""
    nodes = [Path(target) for target in targets if target.endswith((".yaml", ".yml"))]
    if file is not None or not nodes:
        return check_objects(file)
    from monai_ceph.pacs.config_file import read_config

    try:
        return read_config(nodes[0]).objects
    except CephError as error:
        stop(error)


def _targets_of_node(config: Path) -> list[Sender]:
    """Return senders to the targets of a node, with the logins and certificates of its configuration."""
    from monai_ceph.archives.targets import make_senders
    from monai_ceph.pacs.config_file import read_config

    settings = read_config(config)
    return make_senders(settings.targets, settings.ae_title)


def _print(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
