"""``monai-ceph template``: an empty table for annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import stop

__all__ = ["template"]


def template(
    films: Annotated[
        list[Path] | None,
        typer.Argument(help="Films and folders. Rows have a film's path as given, or its path below the folder."),
    ] = None,
    landmarks: Annotated[
        str | None, typer.Option(help="Symbols of your own landmarks, separated by commas. Default: the 19.")
    ] = None,
) -> None:
    """Print an empty landmarks.csv, the annotation table of a dataset folder."""
    from monai_ceph.datasets.folder import template as text
    from monai_ceph.landmarks import SYMBOLS
    from monai_ceph.readers import iter_radiographs

    symbols = [symbol.strip() for symbol in landmarks.split(",")] if landmarks is not None else SYMBOLS
    if not all(symbols) or len(set(symbols)) < len(symbols):
        stop(f"--landmarks {landmarks}: each landmark needs a different symbol")
    names: list[str] = []
    for path in films or [Path("film-001.png")]:
        found = (
            [each.relative_to(path).as_posix() for each in iter_radiographs([path])] if path.is_dir() else [str(path)]
        )
        if not found:
            stop(f"{path}: contains no film")
        names += [name for name in found if name not in names]
    print(text(names, symbols), end="")
