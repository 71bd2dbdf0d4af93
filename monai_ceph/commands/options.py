"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import stop

__all__ = ["Device", "Overlay", "check_spacing"]

Device = Annotated[str | None, typer.Option(help="Torch device, such as cpu or cuda:0; the GPU if there is one.")]
Overlay = Annotated[list[Path] | None, typer.Option("--config", help="Bundle config that changes single keys.")]


def check_spacing(pixel_spacing: float | None) -> None:
    """Stop the command if ``--pixel-spacing`` cannot be the size of a pixel."""
    if pixel_spacing is None:
        return
    from monai_ceph.readers.radiograph import LARGEST_PIXEL, SMALLEST_PIXEL, plausible_spacing

    if not plausible_spacing(pixel_spacing, pixel_spacing):
        limits = f"{SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}"
        stop(f"--pixel-spacing {pixel_spacing:g} cannot be the size of a pixel. Give mm, from {limits}")
