"""The option for landmarks that a person corrected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_ceph.commands.console import stop
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.reports.corrected import Corrections

__all__ = ["Corrected", "read_corrections", "refuse_tables"]

Corrected = Annotated[
    list[Path] | None,
    typer.Option(
        "--landmarks",
        help="Landmarks that a person corrected: a table such as a copy of landmarks.csv, or an SR that OHIF saved. "
        "Its points replace those of the results.",
        show_default=False,
    ),
]


def read_corrections(tables: list[Path] | None) -> Corrections | None:
    """Return the corrected points, None without the option. A table that cannot be read stops the command."""
    if not tables:
        return None
    from monai_ceph.reports.corrected import Corrections

    try:
        return Corrections(tables)
    except (CephError, OSError) as error:
        stop(error)


def refuse_tables(paths: Sequence[Path]) -> None:
    """Stop the command if a table was given where results or films belong."""
    for path in paths:
        if path.suffix.lower() in (".csv", ".tsv") and not path.is_dir():
            stop(f"{path}: a table is not a film. Give the results or the films, and this table with --landmarks")
