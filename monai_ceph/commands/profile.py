"""``monai-ceph profile learn``: a clinic's own definitions of landmarks, from films that it has corrected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_ceph.commands.console import EXIT_SOME_FAILED, console, messages, stop
from monai_ceph.commands.options import Device, Overlay, check_spacing
from monai_ceph.commands.progress import Progress
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.profiles import Profile

__all__ = ["profile"]

profile = typer.Typer(
    help="A clinic's profile: where its landmarks lie, compared with those detected.", no_args_is_help=True
)


@profile.callback()
def _main() -> None:
    """Keep ``learn`` a command of its own."""


@profile.command()
def learn(
    corrected: Annotated[
        Path,
        typer.Argument(
            help="Folder with three or more films and their corrected landmarks, such as the landmarks.csv of detect."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File for the profile, such as clinic.yaml.")],
    name: Annotated[
        str | None,
        typer.Option(help="What results call the profile. [default: the file's name]", show_default=False),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who corrected the films.", show_default=False)] = None,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the folder says.")] = None,
    device: Device = None,
    config: Overlay = None,
) -> None:
    """Learn where a clinic places landmarks, for detect --profile. No film or patient is named in the file.

    Research use, not a medical device; a trained person reviews all results. Exit code: 0 if all films were used, also
    if nothing is gained and the profile is empty; 1 if some films were left out; 2 if nothing could be learned.
    """
    check_spacing(pixel_spacing)
    if out.suffix.lower() not in (".yaml", ".yml"):
        stop(f"--out {out}: the name must end in .yaml")
    from dataclasses import replace

    from monai_ceph.datasets import open_dataset
    from monai_ceph.profiles import profile_text
    from monai_ceph.profiles.profile import check_text
    from monai_ceph.storage.written_files import WrittenFiles

    written = WrittenFiles(out.parent)
    try:
        called = check_text("--name", name if name is not None else out.stem)
        person = check_text("--by", by) if by is not None else None
        written.check(out.name)
        films = open_dataset(corrected)
        if pixel_spacing is not None:
            films = [replace(film, pixel_spacing=pixel_spacing) for film in films]
        with Progress(messages) as progress:
            progress.step("loading the model")
            progress.total(len(films))
            from monai_ceph.detection import CephalogramDetector
            from monai_ceph.profiles.learn import learn as learned

            detector = CephalogramDetector(device, tuple(config or ()))
            progress.step("detecting")
            result, left_out = learned(films, detector, called, person, lambda film: progress.advance())
        with written.writing(out.name) as part:
            part.write_text(profile_text(result), encoding="utf-8")
    except (CephError, OSError) as error:
        stop(error)
    for sentence in left_out:
        messages.print(f"left out: {sentence}", markup=False, highlight=False, soft_wrap=True)
    _print(result)
    if left_out:
        raise typer.Exit(EXIT_SOME_FAILED)


def _print(result: Profile) -> None:
    from rich.table import Table

    from monai_ceph.profiles.words import landmark_words, summary

    console.print(f"Profile {result.name}. {summary(result)}", markup=False, highlight=False)
    if not result.landmarks:
        return
    table = Table("landmark", "your points lie", "films", "error before", "error after")
    for words in landmark_words(result):
        table.add_row(words.name, words.lies, words.films, words.before, words.after)
    console.print(table)
    others = len(result.landmark_set) - len(result.landmarks)
    if others:
        console.print(f"Of the other {others} landmarks, nothing was learned: they stay as detected.", highlight=False)
