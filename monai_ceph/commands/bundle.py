"""``monai-ceph bundle``: a function that the command line takes as a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import console, messages, say, stop
from monai_ceph.errors import CephError

__all__ = ["bundle"]


def bundle(
    out: Annotated[Path, typer.Argument(help="Folder that takes the bundle; made if it is not there.")],
    config: Annotated[
        list[Path] | None, typer.Option("--config", help="Bundle config that changes single keys, such as weights.")
    ] = None,
    files_url: Annotated[
        str | None, typer.Option(help="Where files over 25 MB will lie; large_files.yml says so.")
    ] = None,
    torchscript: Annotated[bool, typer.Option(help="Export models/model.ts, too.")] = True,
) -> None:
    """Write the model as a MONAI Bundle that stands alone, in the form of the MONAI Model Zoo."""
    say("loading the model")
    from monai_ceph.zoo.bundle import write_bundle

    try:
        written = write_bundle(out, config or (), files_url, torchscript)
    except (CephError, OSError) as error:
        stop(error)
    console.print(str(written.folder), markup=False, highlight=False, soft_wrap=True)
    if written.large and files_url is None:
        messages.print(
            f"{', '.join(written.large)}: over 25 MB, which the model zoo takes from a URL only; "
            "--files-url URL writes large_files.yml",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
