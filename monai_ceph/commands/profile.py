"""``monai-ceph profile ...``: a clinic's own definitions of landmarks, from films that it has corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from monai_ceph.commands.console import EXIT_SOME_FAILED, console, messages, stop
from monai_ceph.commands.options import Device, Overlay, Trusted, check_spacing
from monai_ceph.commands.progress import Progress
from monai_ceph.errors import CephError

if TYPE_CHECKING:
    from monai_ceph.datasets import Film
    from monai_ceph.profiles import Profile
    from monai_ceph.profiles.drift import Drift
    from monai_ceph.profiles.learn import Detector

__all__ = ["profile"]

_Result = TypeVar("_Result")
_Done: TypeAlias = "Callable[[Film], None]"
_Teach: TypeAlias = "Callable[[list[Film], Detector, str | None, _Done], tuple[Profile, Iterable[str]]]"

profile = typer.Typer(
    help="A clinic's profile: where its landmarks lie, compared with those detected.", no_args_is_help=True
)

_SOURCES = "results with signed reviews, the landmarks.csv of detect, or final labels of MONAI Label"
Spacing = Annotated[float | None, typer.Option(help="mm per pixel; replaces what the folder says.")]
Films = Annotated[
    list[Path] | None,
    typer.Option(help="The films of results with reviews, or folders of them.", show_default=False),
]
By = Annotated[str | None, typer.Option(help="Who corrected the films.", show_default=False)]
Old = Annotated[Path, typer.Argument(help="The profile, such as clinic.yaml.", show_default=False)]


@profile.command()
def learn(
    corrected: Annotated[
        Path,
        typer.Argument(help=f"Folder with three or more films and their corrected landmarks: {_SOURCES}."),
    ],
    out: Annotated[Path, typer.Option(help="File for the profile, such as clinic.yaml.")],
    name: Annotated[
        str | None,
        typer.Option(help="What results call the profile. [default: the file's name]", show_default=False),
    ] = None,
    by: By = None,
    films: Films = None,
    pixel_spacing: Spacing = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Learn where a clinic places landmarks, for detect --profile. No film or patient is named in the file.

    Research use, not a medical device; a trained person reviews all results. Exit code: 0 if all films were used, also
    if nothing is gained and the profile is empty; 1 if some films were left out; 2 if nothing could be learned.
    """

    def begin() -> _Teach:
        from monai_ceph.profiles.learn import learn as learned
        from monai_ceph.profiles.profile import check_text

        called = check_text("--name", name if name is not None else out.stem)
        return lambda films, detector, person, done: learned(films, detector, called, person, done)

    _, left_out = _teach(begin, out, by, _Corrected(corrected, films, pixel_spacing, device, config))
    _end(out, left_out)


@profile.command()
def update(
    old: Old,
    more: Annotated[Path, typer.Argument(help=f"Folder with further corrected films: {_SOURCES}.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File for the new profile. Without it, the old file is replaced.")
    ] = None,
    by: By = None,
    films: Films = None,
    pixel_spacing: Spacing = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Teach a profile further films, as if all had been there at first. Films that it has already are left out.

    A file that a person has changed is not replaced: give --out. Exit code: 0 if all films were used, 1 if some were
    left out, 2 if none is new or nothing could be learned.
    """

    def begin() -> _Teach:
        from monai_ceph.profiles import load_profile
        from monai_ceph.profiles.learn import update as updated

        before = load_profile(old)
        return lambda films, detector, person, done: updated(before, films, detector, person, done)

    target = out or old
    result, left_out = _teach(begin, target, by, _Corrected(more, films, pixel_spacing, device, config))
    from monai_ceph.profiles.words import history_words

    _say("Taught " + "; ".join(history_words(result)) + ".")
    _end(target, left_out)


@profile.command()
def check(
    old: Old,
    corrected: Annotated[
        Path, typer.Argument(help=f"Folder with newly corrected films: {_SOURCES}.", show_default=False)
    ],
    films: Films = None,
    pixel_spacing: Spacing = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Say whether a profile still fits, from films that were corrected since. It changes nothing.

    Exit code: 0 whatever it says; 1 if some films were left out, such as those that the profile was learned from; 2 if
    nothing could be compared.
    """
    from monai_ceph.profiles import load_profile

    source = _Corrected(corrected, films, pixel_spacing, device, config)
    try:
        known = load_profile(old)

        def work(films: list[Film], detector: Detector, done: _Done) -> tuple[Drift, Iterable[str]]:
            from monai_ceph.profiles.drift import drift
            from monai_ceph.profiles.learn import check_evidence, compare

            check_evidence(known, detector.identity)
            learned_from = {film.picture: known.name for film in known.evidence}
            found = compare(films, detector, done, learned_from)
            return drift(known, found), found.left_out

        (result, left_out), unread = source.with_detector(work)
    except (CephError, OSError) as error:
        stop(error)
    from rich.table import Table

    from monai_ceph.profiles.words import drift_summary, drift_words

    _say(f"Profile {known.name}. {drift_summary(known, result)}")
    table = Table("landmark", "your points now lie", "films", "error without", "error with", "chance")
    for words in drift_words(result):
        table.add_row(words.name, words.lies, words.films, words.without, words.with_profile, words.chance)
    console.print(table)
    _end(None, (*unread, *left_out))


class _Corrected:
    """Corrected films, and the detector to compare them with. A scale that cannot be right stops the command."""

    def __init__(
        self,
        folder: Path,
        films: list[Path] | None,
        pixel_spacing: float | None,
        device: str | None,
        config: list[Path] | None,
    ) -> None:
        check_spacing(pixel_spacing)
        self._folder, self._films, self._pixel_spacing = folder, films or (), pixel_spacing
        self._device, self._config = device, tuple(config or ())

    def with_detector(
        self, work: Callable[[list[Film], Detector, _Done], tuple[_Result, Iterable[str]]]
    ) -> tuple[tuple[_Result, Iterable[str]], tuple[str, ...]]:
        """Read the films and work on them, under a bar; return also a sentence for each that could not be read."""
        from monai_ceph.commands.corrected_films import corrected_films

        found = corrected_films(self._folder, self._pixel_spacing, self._films)
        with Progress(messages) as progress:
            progress.step("loading the model")
            progress.total(len(found.films))
            from monai_ceph.detection import CephalogramDetector

            detector = CephalogramDetector(self._device, self._config)
            progress.step("detecting")
            return work(found.films, detector, lambda film: progress.advance()), found.left_out


def _teach(
    begin: Callable[[], _Teach], out: Path, by: str | None, corrected: _Corrected
) -> tuple[Profile, tuple[str, ...]]:
    """Teach a profile, write and print it; return also what was left out. What fails stops the command.

    Args:
        begin: checks what is given, and returns what teaches.
        out: file of the profile.
        by: who corrected the films.
        corrected: the films.
    """
    try:
        teach = begin()
        if out.suffix.lower() not in (".yaml", ".yml"):
            raise CephError(f"--out {out}: the name must end in .yaml")
        from monai_ceph.profiles import profile_text
        from monai_ceph.profiles.profile import check_text
        from monai_ceph.storage.written_files import WrittenFiles

        files = WrittenFiles(out.parent)
        # before the work
        files.check(out.name)
        person = check_text("--by", by) if by is not None else None
        (result, left_out), unread = corrected.with_detector(
            lambda films, detector, done: teach(films, detector, person, done)
        )
        with files.writing(out.name) as part:
            part.write_text(profile_text(result), encoding="utf-8")
    except (CephError, OSError) as error:
        stop(error)
    _print(result)
    return result, (*unread, *left_out)


def _print(result: Profile) -> None:
    from rich.table import Table

    from monai_ceph.profiles.words import landmark_words, summary

    _say(f"Profile {result.name}. {summary(result)}")
    if not result.landmarks:
        return
    table = Table("landmark", "your points lie", "films", "error before", "error after")
    for words in landmark_words(result):
        table.add_row(words.name, words.lies, words.films, words.before, words.after)
    console.print(table)
    others = len(result.landmark_set) - len(result.landmarks)
    if others:
        _say(f"Of the other {others} landmarks, nothing was learned: they stay as detected.")


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _end(out: Path | None, left_out: tuple[str, ...]) -> None:
    """Print what was left out and what was written."""
    for sentence in left_out:
        messages.print(f"left out: {sentence}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        _say(f"Written: {out}")
    if left_out:
        raise typer.Exit(EXIT_SOME_FAILED)
