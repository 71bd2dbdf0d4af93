"""``monai-ceph bundle``: writes the model as a MONAI Bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import console, messages, say, stop
from monai_ceph.commands.options import Trusted, trusted_only
from monai_ceph.errors import CephError

__all__ = ["bundle"]


def bundle(
    out: Annotated[Path, typer.Argument(help="Folder for the bundle; created if necessary.")],
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config", help="Bundle config that changes single keys, such as weights.", callback=trusted_only
        ),
    ] = None,
    trusted_config: Trusted = False,
    files_url: Annotated[
        str | None, typer.Option(help="URL where files over 25 MB will be; it is written to large_files.yml.")
    ] = None,
    torchscript: Annotated[bool, typer.Option(help="Also export models/model.ts.")] = True,
) -> None:
    """Write the model as a MONAI Bundle for the MONAI Model Zoo. It contains everything that it needs."""
    say("loading the model")
    from monai_ceph.zoo.bundle import write_bundle

    try:
        written = write_bundle(out, config or (), files_url, torchscript)
    except (CephError, OSError) as error:
        stop(error)
    console.print(str(written.folder), markup=False, highlight=False, soft_wrap=True)
    if written.large and files_url is None:
        messages.print(
            f"{', '.join(written.large)}: over 25 MB. The model zoo downloads such files from a URL: "
            "use --files-url URL to write large_files.yml",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
