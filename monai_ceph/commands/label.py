"""The command ``monai-ceph label``. It imports MONAI Label only once it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import messages, say, stop
from monai_ceph.commands.options import ObjectsFile, ProfileFile, Trusted, trusted_only
from monai_ceph.errors import CephError

__all__ = ["label"]


def label(
    studies: Annotated[str, typer.Option(help="Folder with films, or the URL of a DICOMweb server.")],
    host: Annotated[str, typer.Option(help="Address to listen on; by default only this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    work: Annotated[
        Path | None, typer.Option(help="Folder for weights, runs and copies from a PACS; one per --studies by default.")
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Modality of the series to list from a PACS; DX and CR by default.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose web pages may use the server, such as http://localhost:3000."),
    ] = None,
    ssl_certfile: Annotated[Path | None, typer.Option(help="Certificate for HTTPS.")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="Key of the certificate.")] = None,
    review_url: Annotated[
        str | None,
        typer.Option(help="Address of monai-ceph review for the same films, for the server's description."),
    ] = None,
    objects_config: ObjectsFile = None,
    profile: ProfileFile = None,
    device: Annotated[
        str | None, typer.Option(help="Torch device, such as cpu or cuda:0; the GPU if there is one.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", help="Bundle config that changes single keys.", callback=trusted_only),
    ] = None,
    trusted_config: Trusted = False,
) -> None:
    """Start the MONAI Label server for 3D Slicer, OHIF and CVAT. `make label` installs what it needs."""
    from monai_ceph.labelling.server import ServerOptions, serve

    try:
        options = ServerOptions(
            studies=studies,
            host=host,
            port=port,
            work=work,
            modalities=tuple(modality or ()),
            origins=tuple(allow_origin or ()),
            certificate=ssl_certfile,
            key=ssl_keyfile,
            profile=profile,
            device=device,
            overlays=tuple(config or ()),
            review_url=review_url,
            objects=objects_config,
        )
        say("starting MONAI Label")
        serve(options, lambda text: messages.print(text, style="bold yellow", markup=False, soft_wrap=True))
    except (CephError, OSError) as error:
        stop(error)
