"""``monai-ceph onnx``: writes the model as one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import console, need_extra, say, stop
from monai_ceph.errors import CephError

__all__ = ["onnx"]


def onnx(
    out: Annotated[Path, typer.Argument(help="The file to write, which must not exist.", metavar="FILE.onnx")],
    config: Annotated[
        list[Path] | None, typer.Option("--config", help="Bundle config that changes single keys, such as weights.")
    ] = None,
) -> None:
    """Write the model as one ONNX file: a film of any size goes in, landmarks and radii come out."""
    need_extra("onnx", "onnx", "onnxscript", "onnxruntime", "ndonnx")
    if out.suffix != ".onnx":
        stop(f"{out}: the name must end with .onnx")
    say("writing the graph")
    from monai_ceph.onnx_graph.model import write_onnx

    try:
        write_onnx(out, config or ())
    except (CephError, OSError) as error:
        stop(error)
    console.print(str(out), markup=False, highlight=False, soft_wrap=True)
