"""``monai-ceph report``: a page per film that a clinician reads, and one for all films."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from monai_ceph.commands.console import (
    EXIT_INTERRUPTED,
    EXIT_NOTHING_DONE,
    EXIT_SOME_FAILED,
    EXIT_STOPPED,
    console,
    messages,
    need_extra,
    stop,
    warn,
)
from monai_ceph.commands.corrections import Corrected, read_corrections, refuse_tables
from monai_ceph.commands.detect import Names
from monai_ceph.commands.measure import PersonSex
from monai_ceph.commands.norms import chosen_norms
from monai_ceph.commands.options import (
    Device,
    Overlay,
    ProfileFile,
    Trusted,
    check_exist,
    check_profile,
    check_spacing,
)
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.analysis import Sex
    from monai_ceph.batch.reports import ReportFormat
    from monai_ceph.profiles import Profile

__all__ = ["report", "report_formats"]

_RESULTS = "results"


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Results of detect (a folder, or JSON files of it), or films and folders of films to detect on.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the reports.")],
    films: Annotated[
        list[Path] | None,
        typer.Option(help="The films of the results, or folders of them: their pictures go into the reports."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(help="html, pdf or both, with a comma. Default: html. PDF needs the extra report."),
    ] = None,
    landmarks: Corrected = None,
    names: Annotated[
        Names, typer.Option(help="Call films as the results do, or DICOM films by their UID.")
    ] = Names.PATH,
    pixel_spacing: Annotated[
        float | None, typer.Option(help="mm per pixel of films; replaces what the files say.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Keep films that do not look like a cephalogram.")] = False,
    norms: Annotated[
        list[str] | None,
        typer.Option(
            help="Set of norms, or YAML file, to compare with; several go in order of preference; none: no norms. "
            "Without it, the norms that were read in their source."
        ),
    ] = None,
    sex: Annotated[PersonSex | None, typer.Option(help="Sex of the patients, for norms of one sex.")] = None,
    age: Annotated[float | None, typer.Option(min=0, max=130, help="Age in years, for norms of an age.")] = None,
    profile: ProfileFile = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Write a report per film as HTML or PDF, and index.html with what a person should look at first.

    Given films, it first does what detect does, into the folder results in --out. Exit code: 0 if every film has a
    report, 1 if some have none, 2 if nothing could be done, 3 if detection stopped early, 130 if it was interrupted.
    """
    wanted = report_formats(formats or [])
    check_spacing(pixel_spacing)
    if "pdf" in wanted:
        need_extra("report", "reportlab")
    check_exist([*paths, *(films or ())])
    refuse_tables(paths)
    from monai_ceph.analysis import measure
    from monai_ceph.batch.reports import INDEX, write_reports
    from monai_ceph.commands.progress import Progress
    from monai_ceph.reports.notes import NOTICE
    from monai_ceph.work.result_films import Films, is_results

    their_sex: Sex | None = sex.value if sex else None
    measured = partial(measure, norms=chosen_norms(norms, their_sex, age), sex=their_sex, age=age)
    found = [path for path in paths if path.suffix.lower() == ".json" or is_results(path)]
    to_detect = [path for path in paths if path not in found]
    corrections = read_corrections(landmarks)
    clinic = check_profile(profile, found)
    results, pictures = list(found), list(films or ())
    if to_detect:
        _detect(to_detect, out / _RESULTS, names, pixel_spacing, force, device, config, clinic)
        results.append(out / _RESULTS)
        pictures += to_detect
    try:
        with Progress(messages) as progress:
            progress.step("writing reports")
            summary = write_reports(
                *(results, Films(pictures), out, wanted, measured),
                by_uid=names is Names.UID,
                corrections=corrections,
                on_film=progress.advance,
            )
    except KeyboardInterrupt:
        stop("interrupted", EXIT_INTERRUPTED)
    except (CephError, OSError) as error:
        stop(error)
    for note in summary.notes:
        warn(f"note: {note}")
    for film, reason in summary.failures:
        warn(f"{film}: {reason}")
    if not summary.written:
        stop("no report was written", EXIT_NOTHING_DONE)
    where = out / INDEX if "html" in wanted else out
    count = f"{summary.written} report{'' if summary.written == 1 else 's'}"
    console.print(f"{count}, all of them drafts. Open {where}", markup=False, highlight=False, soft_wrap=True)
    console.print(NOTICE, style="dim")
    if summary.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def report_formats(words: list[str]) -> frozenset[ReportFormat]:
    """Return the kinds of report that an option names; stop the command if a word is not one of them."""
    names = {name.strip().lower() for word in words for name in word.split(",") if name.strip()}
    if unknown := sorted(names - {"html", "pdf"}):
        stop(f"--formats {', '.join(unknown)}: no such format; use html or pdf")
    return cast("frozenset[ReportFormat]", frozenset(names or {"html"}))


def _detect(
    paths: list[Path],
    out: Path,
    names: Names,
    pixel_spacing: float | None,
    force: bool,
    device: str | None,
    config: list[Path] | None,
    profile: Profile | None,
) -> None:
    """Do what ``detect`` does, with JSON and the table."""
    from monai_ceph import batch
    from monai_ceph.commands.screen import Screen
    from monai_ceph.errors import StoppedError
    from monai_ceph.work.film import make_detector
    from monai_ceph.work.fingerprint import model_fingerprint

    options = batch.Options(
        formats=frozenset({"csv", "json"}), names=names.value, force=force, pixel_spacing=pixel_spacing
    )
    overlays = tuple(config or ())
    screen = Screen(console, messages)
    try:
        with batch.orderly_end() as interrupted, screen.progress:
            batch.detect_films(
                *(paths, out, partial(make_detector, device, overlays, profile), options),
                on_total=screen.progress.total,
                on_film=screen.on_film,
                on_step=screen.progress.step,
                interrupted=interrupted,
                fingerprint=partial(
                    model_fingerprint, device, overlays, "local", profile.identity().sha256 if profile else None
                ),
            )
    except KeyboardInterrupt:
        stop(f"interrupted. The results so far are in {out}; the same command continues", EXIT_INTERRUPTED)
    except StoppedError as error:
        stop(f"{error}. The results so far are kept; the same command continues", EXIT_STOPPED)
    except (CephError, OSError) as error:
        stop(error)
