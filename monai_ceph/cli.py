"""The command line: ``monai-ceph``. The commands are in :mod:`monai_ceph.commands`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from monai_ceph.commands.bundle import bundle
from monai_ceph.commands.compare import compare
from monai_ceph.commands.console import console, print_any_text
from monai_ceph.commands.detect import detect
from monai_ceph.commands.evaluate import evaluate
from monai_ceph.commands.label import label
from monai_ceph.commands.measure import measure
from monai_ceph.commands.node import fetch, node
from monai_ceph.commands.onnx import onnx
from monai_ceph.commands.phantom import phantom
from monai_ceph.commands.profile import profile
from monai_ceph.commands.report import report
from monai_ceph.commands.review import review
from monai_ceph.commands.schema import schema
from monai_ceph.commands.template import template
from monai_ceph.version import __version__
from monai_ceph.work.memory import keep_freed_memory
from monai_ceph.work.start_up import prepare_process

__all__ = ["app", "run"]

_OWNER_ONLY = 0o077
_OF_PATIENTS = ("detect", "measure", "report", "compare", "review", "fetch", "node")

app = typer.Typer(
    help="Landmarks on lateral cephalograms. Research use, not a medical device; a trained person reviews all results.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(shown: bool) -> None:
    if shown:
        console.print(f"monai-ceph {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Handle the options before the command."""
    keep_freed_memory()
    if context.invoked_subcommand in _OF_PATIENTS:
        # what these write names patients: nobody else may read it, whatever umask the shell has
        os.umask(os.umask(_OWNER_ONLY) | _OWNER_ONLY)
    print_any_text()


for command in (detect, measure, report, compare, evaluate, phantom, schema, template, bundle, onnx, label, fetch):
    app.command()(command)
app.add_typer(node, name="node")
app.add_typer(profile, name="profile")
app.add_typer(review, name="review")


def run() -> None:
    """Run ``monai-ceph`` as the only code of this process."""
    prepare_process()
    app()


if __name__ == "__main__":
    run()
