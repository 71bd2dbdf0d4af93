"""``monai-ceph phantom``: synthetic films."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import console, messages, stop
from monai_ceph.commands.progress import Progress
from monai_ceph.errors import CephError

__all__ = ["phantom"]


class FileFormat(str, Enum):
    """How phantoms are written."""

    DICOM = "dicom"
    PNG = "png"


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder for the films; created if necessary.")],
    count: Annotated[int, typer.Option(min=1, help="How many films.")] = 5,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the first film; the next ones count up.")
    ] = 0,
    file_format: Annotated[FileFormat, typer.Option("--format", help="DICOM DX or PNG.")] = FileFormat.DICOM,
) -> None:
    """Draw synthetic cephalograms with exactly known landmarks: films and landmarks.csv. No file is replaced."""
    from monai_ceph.datasets.phantom import phantom_names, write_phantoms

    try:
        for name in phantom_names(count, file_format.value):
            if (out / name).exists():
                stop(f"{out / name} exists already. Choose another folder")
        with Progress(messages) as progress:
            progress.step("drawing")
            progress.total(count)
            written = write_phantoms(
                out, count, seed, file_format=file_format.value, on_film=lambda film: progress.advance()
            )
    except (CephError, OSError) as error:
        stop(error)
    console.print(f"{len(written)} phantoms and landmarks.csv in {out}", markup=False, highlight=False, soft_wrap=True)
