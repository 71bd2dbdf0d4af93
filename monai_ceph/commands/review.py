"""``monai-ceph review``: see, correct and sign results in the browser; check the audit; write reviewed results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click
import typer
from typer.core import TyperGroup

from monai_ceph.commands.console import console, need_extra, stop
from monai_ceph.errors import CephError

__all__ = ["review"]


class _ServesFirst(TyperGroup):
    """Takes ``review RESULTS`` for ``review serve RESULTS``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in front, where no command is named."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["serve", *args]
        return super().parse_args(ctx, args)


review = typer.Typer(
    cls=_ServesFirst,
    help="See, correct and sign results in the browser: monai-ceph review RESULTS/ --films FOLDER.",
    no_args_is_help=True,
)

Results = Annotated[Path, typer.Argument(help="Folder of results that detect wrote, with json.", show_default=False)]


@review.command()
def serve(
    results: Results,
    films: Annotated[
        list[Path] | None, typer.Option(help="The films of the results, or folders of them.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; other than this machine only with a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8010,
    reviewer: Annotated[
        str | None, typer.Option(help="Your name, as signatures have it; otherwise the page asks.", show_default=False)
    ] = None,
    blind: Annotated[
        bool, typer.Option(help="Hide the detection and other people's points; needs --reviewer.")
    ] = False,
    deidentify: Annotated[bool, typer.Option(help="Show no patient's name, id, birth date or sex.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that the browser needs.", show_default=False)
    ] = None,
) -> None:
    """Open the page for a review, on this machine only unless --host and --token-file say otherwise.

    Research use, not a medical device. Detections are never changed: reviews go into the folder reviews of RESULTS.
    """
    need_extra("review", "fastapi", "uvicorn")
    if missing := [path for path in (results, *(films or ())) if not path.exists()]:
        stop(f"{missing[0]}: no such file or folder")
    from monai_ceph.review.models import checked_name
    from monai_ceph.review.server import read_token
    from monai_ceph.review.server import serve as serve_until_interrupted
    from monai_ceph.review.service import ReviewService

    def ready(address: str) -> None:
        console.print(
            f"Open {address} in a browser. Ctrl-C ends the review.", markup=False, highlight=False, soft_wrap=True
        )

    try:
        name = None if reviewer is None else checked_name(reviewer)
        token = None if token_file is None else read_token(token_file)
        service = ReviewService(results, list(films or ()), name, blind, deidentify)
        serve_until_interrupted(service, host, port, token, ready)
    except ValueError as error:
        stop(f"--reviewer: {error}")
    except (CephError, OSError) as error:
        stop(error)
