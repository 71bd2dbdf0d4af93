"""``monai-ceph template``: an empty table to annotate films in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_ceph.commands.console import stop

__all__ = ["template"]


def template(
    films: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Films, by the names that the rows get, and folders, whose films get a path relative to it."
        ),
    ] = None,
    landmarks: Annotated[
        str | None, typer.Option(help="Symbols of a set of your own, with commas between; the 19 if nothing is said.")
    ] = None,
) -> None:
    """Print an empty landmarks.csv, the annotation table of a dataset folder."""
    from monai_ceph.datasets.folder import template as text
    from monai_ceph.landmarks import SYMBOLS
    from monai_ceph.readers import iter_radiographs

    symbols = [symbol.strip() for symbol in landmarks.split(",")] if landmarks is not None else SYMBOLS
    if not all(symbols) or len(set(symbols)) < len(symbols):
        stop(f"--landmarks {landmarks}: each landmark needs a symbol of its own")
    names: list[str] = []
    for path in films or [Path("film-001.png")]:
        found = (
            [each.relative_to(path).as_posix() for each in iter_radiographs([path])] if path.is_dir() else [str(path)]
        )
        if not found:
            stop(f"{path}: no film in it")
        names += [name for name in found if name not in names]
    print(text(names, symbols), end="")
