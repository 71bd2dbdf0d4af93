"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_ceph.commands.console import stop
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.profiles import Profile
    from monai_ceph.reports.object_settings import ObjectSettings

__all__ = [
    "Device",
    "ObjectsFile",
    "Overlay",
    "ProfileFile",
    "Trusted",
    "check_exist",
    "check_objects",
    "check_profile",
    "check_spacing",
    "trusted_only",
]

Device = Annotated[str | None, typer.Option(help="Torch device, such as cpu or cuda:0; the GPU if there is one.")]


def trusted_only(context: typer.Context, value: list[Path] | None) -> list[Path] | None:
    """Stop the command if a file of ``--config`` runs code, and ``--trusted-config`` was not given."""
    if value and not context.params.get("trusted_config"):
        from monai_ceph.work.config_trust import check_trust

        try:
            check_trust([Path(each) for each in value], "add --trusted-config")
        except CephError as error:
            stop(error)
    return value


Overlay = Annotated[
    list[Path] | None,
    typer.Option("--config", help="Bundle config that changes single keys.", callback=trusted_only),
]
Trusted = Annotated[
    bool,
    typer.Option("--trusted-config", help="Let files of --config run Python code ($ and _target_).", is_eager=True),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="A clinic's profile, which moves the points: monai-ceph profile learn.",
        show_default=False,
    ),
]


ObjectsFile = Annotated[
    Path | None,
    typer.Option(
        "--objects-config",
        help="YAML file that sets procedure, body part, time zone, measurements and SOP class of DICOM objects.",
        show_default=False,
    ),
]


def check_objects(file: Path | None) -> ObjectSettings:
    """Read the file of ``--objects-config``; stop the command if it has no such settings."""
    from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, load_object_settings

    if file is None:
        return DEFAULT_SETTINGS
    try:
        return load_object_settings(file)
    except CephError as error:
        stop(error)


def check_exist(paths: Sequence[Path]) -> None:
    """Stop the command if a path is not there, and name all of those."""
    if missing := [path for path in paths if not path.exists()]:
        stop(f"{', '.join(map(str, missing))}: no such file or folder")


def check_profile(file: Path | None, detected: list[Path]) -> Profile | None:
    """Read the file of ``--profile``; stop the command if it is no profile, or if a source has its points already.

    Args:
        file: of the option.
        detected: sources on which nothing will be detected.
    """
    if file is None:
        return None
    if detected:
        stop(f"{detected[0]}: has its points already, and --profile is for films. Detect again with the profile")
    from monai_ceph.profiles import load_profile

    try:
        return load_profile(file)
    except CephError as error:
        stop(error)


def check_spacing(pixel_spacing: float | None) -> None:
    """Stop the command if ``--pixel-spacing`` cannot be the size of a pixel."""
    if pixel_spacing is None:
        return
    from monai_ceph.readers.radiograph import LARGEST_PIXEL, SMALLEST_PIXEL, plausible_spacing

    if not plausible_spacing(pixel_spacing, pixel_spacing):
        limits = f"{SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}"
        stop(f"--pixel-spacing {pixel_spacing:g} cannot be the size of a pixel. Give mm, from {limits}")
