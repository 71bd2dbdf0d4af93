"""``monai-ceph compare``: two films of one patient, laid on each other, and what changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_ceph.commands.console import EXIT_INTERRUPTED, console, need_extra, stop, warn
from monai_ceph.commands.corrections import Corrected, read_corrections, refuse_tables
from monai_ceph.commands.options import Device, Overlay, ProfileFile, Trusted, check_profile, check_spacing
from monai_ceph.commands.report import report_formats
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.profiles import Profile
    from monai_ceph.result import Detection

__all__ = ["compare", "same_patient"]

_NAME = "comparison"


def compare(
    first: Annotated[Path, typer.Argument(help="The earlier film, or its JSON from detect.")],
    second: Annotated[Path, typer.Argument(help="The later film of the same patient, or its JSON.")],
    out: Annotated[Path, typer.Option(help="Folder for comparison.html and comparison.pdf.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(help="html, pdf or both, with a comma. Default: html. PDF needs the extra report."),
    ] = None,
    landmarks: Corrected = None,
    pixel_spacing: Annotated[
        float | None, typer.Option(help="mm per pixel of films; replaces what the files say.")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Compare films of different patients, and images that do not look like a cephalogram.")
    ] = False,
    profile: ProfileFile = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Superimpose two films of one patient, and list how every measurement changed.

    Both must be films of one patient: different DICOM Patient IDs stop the command. Exit code: 0 if the comparison was
    written, otherwise 2; 130 if it was interrupted.
    """
    wanted = report_formats(formats or [])
    check_spacing(pixel_spacing)
    clinic = check_profile(profile, [path for path in (first, second) if path.suffix.lower() == ".json"])
    if "pdf" in wanted:
        need_extra("report", "reportlab")
    refuse_tables([first, second])
    corrections = read_corrections(landmarks)
    from monai_ceph.analysis import measure
    from monai_ceph.reports.comparison import comparison
    from monai_ceph.reports.html_report import comparison_html
    from monai_ceph.reports.notes import NOTICE
    from monai_ceph.storage.written_files import WrittenFiles

    files = WrittenFiles(out)
    try:
        # before the work
        for kind in wanted:
            files.check(f"{_NAME}.{kind}")
        warnings = same_patient(first, second, force)
        one, two = _detections((first, second), pixel_spacing, force, device, config, clinic)
        if one.image_uid is not None and (one.image_uid, one.frame) == (two.image_uid, two.frame):
            stop(f"{second}: the same image as {first}; give two films")
        if corrections is not None:
            one, two = corrections.apply(one), corrections.apply(two)
            for film in corrections.unused():
                warn(f"{film}: in a corrected table, but it is not one of the two films")
        compared = comparison(one, two, (measure(one), measure(two)), warnings)
        if "html" in wanted:
            with files.writing(f"{_NAME}.html") as part:
                part.write_text(comparison_html(compared), encoding="utf-8", errors="backslashreplace")
        if "pdf" in wanted:
            from monai_ceph.reports.pdf_report import pdf_comparison

            with files.writing(f"{_NAME}.pdf") as part:
                part.write_bytes(pdf_comparison(compared))
    except KeyboardInterrupt:
        stop("interrupted", EXIT_INTERRUPTED)
    except (CephError, OSError) as error:
        stop(error)
    for warning in warnings:
        warn(warning)
    where = ", ".join(str(out / f"{_NAME}.{kind}") for kind in sorted(wanted))
    console.print(f"Written: {where}", markup=False, highlight=False, soft_wrap=True)
    console.print(NOTICE, style="dim")


def same_patient(first: Path, second: Path, force: bool) -> list[str]:
    """Return warnings about whose films they are.

    Raises:
        CephError: the films name different patients, and that is not forced. No name or ID is quoted.
    """
    patients = [_patient(path) for path in (first, second)]
    if None in patients:
        return ["Nothing says that both films are of one patient: a Patient ID is only in DICOM films. Check it."]
    if patients[0] == patients[1]:
        return []
    said = "The films have different Patient IDs"
    if not force:
        raise CephError(f"{second}: {said[0].lower()}{said[1:]} than {first}; --force compares them all the same")
    return [f"{said}: they were compared because --force was given."]


def _patient(path: Path) -> tuple[str, str] | None:
    """Return Patient ID and its issuer; None if the file names no patient."""
    from monai_ceph.readers.dicom_elements import first_value
    from monai_ceph.reports.dicom_source import source_header

    try:
        header = source_header(path)
    except CephError:
        return None
    patient, issuer = (str(first_value(header, name) or "").strip() for name in ("PatientID", "IssuerOfPatientID"))
    return (patient, issuer) if patient else None


def _detections(
    paths: tuple[Path, Path],
    pixel_spacing: float | None,
    force: bool,
    device: str | None,
    config: list[Path] | None,
    profile: Profile | None,
) -> tuple[Detection, Detection]:
    """Read the JSON of a film, or detect on it. The model is loaded only if it is needed, after both were read.

    Raises:
        CephError: names each of them that cannot be read, or why nothing was detected.
    """
    from monai_ceph.readers import Radiograph, read_radiograph
    from monai_ceph.reports.json_result import read_detection
    from monai_ceph.work.film import Detector, make_detector

    read: list[Detection | Radiograph] = []
    wrong = []
    for path in paths:
        try:
            read.append(
                read_detection(path) if path.suffix.lower() == ".json" else read_radiograph(path, pixel_spacing)
            )
        except CephError as error:
            wrong.append(str(error).removesuffix("."))
    if wrong:
        raise CephError("; ".join(wrong))
    detector: Detector | None = None
    found = []
    for path, film in zip(paths, read, strict=True):
        if isinstance(film, Radiograph):
            detector = detector or make_detector(device, tuple(config or ()), profile)
            # only the name: folders may be named after patients
            film = detector(film, force=force).model_copy(update={"file": path.name})
        found.append(film)
    return found[0], found[1]
