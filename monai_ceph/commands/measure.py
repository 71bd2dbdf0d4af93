"""``monai-ceph measure``: angles, ratios and lengths of films, detections, or landmarks in a table."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monai_ceph.commands.console import EXIT_NOTHING_DONE, EXIT_SOME_FAILED, messages, say, stop
from monai_ceph.commands.norms import chosen_norms
from monai_ceph.commands.options import Device, Overlay, ProfileFile, Trusted, check_profile, check_spacing
from monai_ceph.errors import CephError
from monai_ceph.storage.csv_cells import safe_cell

if TYPE_CHECKING:
    from monai_ceph.analysis import Norms, Sex
    from monai_ceph.profiles import Profile
    from monai_ceph.reports.measurement_table import FilmMeasurements
    from monai_ceph.result import Detection

__all__ = ["measure"]


class PersonSex(str, Enum):
    """For norms of one sex."""

    F = "F"
    M = "M"


def measure(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Films and folders of films; results of detect, as a folder or as JSON; tables of landmarks (.csv); "
            "an SR with landmarks.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the table, .csv or .parquet. Without it, the table is printed.", show_default=False
        ),
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Write a row per film, with a column per measurement.")] = False,
    norms: Annotated[
        list[str] | None,
        typer.Option(
            help="Set of norms, or YAML file, to compare with; several go in order of preference; none: no norms. "
            "Sets: docs/reference/measurements.md. [default: those that were read in their source]",
            show_default=False,
        ),
    ] = None,
    sex: Annotated[
        PersonSex | None, typer.Option(help="Sex of the patients, for norms of one sex.", show_default=False)
    ] = None,
    age: Annotated[
        float | None, typer.Option(min=0, max=130, help="Age in years, for norms of an age.", show_default=False)
    ] = None,
    pixel_spacing: Annotated[float | None, typer.Option(help="mm per pixel; replaces what the sources say.")] = None,
    force: Annotated[bool, typer.Option(help="Keep films that do not look like a cephalogram.")] = False,
    profile: ProfileFile = None,
    device: Device = None,
    config: Overlay = None,
    trusted_config: Trusted = False,
) -> None:
    """Measure angles, ratios and lengths, each with an interval, and compare them with norms.

    Research use, not a medical device; a trained person reviews all results. Exit code: 0 if everything was measured, 1
    if something was not, 2 if nothing was.
    """
    check_spacing(pixel_spacing)
    if out is not None and out.suffix.lower() not in (".csv", ".parquet"):
        stop(f"--out {out}: the name must end in .csv or .parquet")
    if wide and out is not None and out.suffix.lower() == ".parquet":
        stop("--wide and .parquet exclude each other: Parquet has a row per film and measurement")
    if wide and (norms or sex or age is not None):
        stop("--wide has no columns for norms: leave out --norms, --sex and --age, or --wide")
    if out is not None:
        from monai_ceph.storage.written_files import WrittenFiles

        try:
            # before the work
            WrittenFiles(out.parent).check(out.name)
        except (CephError, OSError) as error:
            stop(error)
    their_sex: Sex | None = sex.value if sex else None
    chosen = chosen_norms(norms, their_sex, age)
    failed: list[str] = []
    clinic = check_profile(profile, [source for source in sources if _kind(source) != "films"])
    make = _detector(device, tuple(config or ()), clinic)
    measurer = _Measurer(chosen, their_sex, age, pixel_spacing, force, make, failed)
    films = (film for source in sources for film in measurer.measured(source))
    try:
        # if nothing was measured, an existing file stays as it is
        first = next(films, None)
        if first is not None:
            _write(chain([first], films), out, wide)
    except (CephError, OSError) as error:
        stop(error)
    for cause in failed:
        messages.print(f"monai-ceph: {cause}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(EXIT_NOTHING_DONE if first is None else EXIT_SOME_FAILED)


def _kind(source: Path) -> Literal["results", "json", "table", "films"]:
    """Return what a source is."""
    from monai_ceph.work.options import LEDGER

    if source.is_dir():
        return "results" if (source / LEDGER).exists() else "films"
    suffix = source.suffix.lower()
    if suffix == ".json":
        return "json"
    from monai_ceph.reports.corrected_files import is_report

    return "table" if suffix in (".csv", ".tsv") or is_report(source) else "films"


def _detector(
    device: str | None, overlays: tuple[Path, ...], profile: Profile | None
) -> Callable[[], Callable[..., Iterator[Detection]]]:
    """Return what loads the model once, when the first film needs it."""
    from functools import cache

    @cache
    def make() -> Callable[..., Iterator[Detection]]:
        say("loading the model")
        from monai_ceph.work.start_up import import_monai_alone

        import_monai_alone(overlays)
        from monai_ceph.detection import CephalogramDetector

        return CephalogramDetector(device, overlays, profile=profile)

    return make


class _Measurer:
    """Measures each source; what cannot be measured becomes a sentence in ``failed``."""

    def __init__(
        self,
        norms: Norms | None,
        sex: Sex | None,
        age: float | None,
        pixel_spacing: float | None,
        force: bool,
        make_detector: Callable[[], Callable[..., Iterator[Detection]]],
        failed: list[str],
    ) -> None:
        self._norms, self._sex, self._age = norms, sex, age
        self._pixel_spacing, self._force = pixel_spacing, force
        self._make_detector, self._failed = make_detector, failed
        self._sources: dict[str, Path] = {}

    def measured(self, source: Path) -> Iterator[FilmMeasurements]:
        """Yield the measurements of each film of a source.

        A film of the same name from an earlier source is left out: nobody could tell their rows apart.
        """
        for film in self._tried(source):
            first = self._sources.setdefault(film.film, source)
            if first == source:
                yield film
            else:
                self._failed.append(f"{source}: {film.film} was measured from {first}; measure it in another call")

    def _tried(self, source: Path) -> Iterator[FilmMeasurements]:
        try:
            yield from self._of(source)
        except CephError as error:
            self._failed.append(str(error))
        except OSError as error:
            self._failed.append(f"{source}: {error.strerror or error}")

    def _of(self, source: Path) -> Iterator[FilmMeasurements]:
        kind = _kind(source)
        if kind == "results":
            yield from self._of_results(source)
        elif kind == "json":
            yield self._of_json(source)
        elif kind == "table":
            yield from self._of_table(source)
        else:
            yield from self._of_films(source)

    def _of_results(self, folder: Path) -> Iterator[FilmMeasurements]:
        files = sorted((folder / "json").glob("*.json"))
        if not files:
            raise CephError(f"{folder}: a run without JSON: give its landmarks.csv, or detect with --formats json")
        for file in files:
            yield from self._tried(file)

    def _of_json(self, file: Path) -> FilmMeasurements:
        from monai_ceph.reports.json_result import read_detection

        return self._of_detection(read_detection(file))

    def _of_detection(self, detection: Detection) -> FilmMeasurements:
        from monai_ceph.analysis.scale import rescaled
        from monai_ceph.readers.radiograph import NOT_SQUARE

        if self._pixel_spacing is not None:
            if any(warning.startswith(NOT_SQUARE) for warning in detection.warnings):
                raise CephError(_needs_square(detection.file))
            places = {
                mark.symbol: (mark.x, mark.y)
                for mark in detection.landmarks
                if mark.x is not None and mark.y is not None
            }
            spacing, source = rescaled(places, (self._pixel_spacing, self._pixel_spacing))
            update = {"pixel_spacing": spacing, "spacing_source": source}
            detection = detection.model_copy(update=update)
        return self._film(detection)

    def _of_table(self, table: Path) -> Iterator[FilmMeasurements]:
        from monai_ceph.analysis import measure as measured
        from monai_ceph.analysis.scale import rescaled
        from monai_ceph.readers.radiograph import SpacingSource, square_spacing
        from monai_ceph.reports.corrected_files import read_corrected_points
        from monai_ceph.reports.measurement_table import FilmMeasurements

        for film in read_corrected_points(table):
            spacing, source = film.pixel_spacing, film.spacing_source
            if self._pixel_spacing is not None:
                if spacing is not None and square_spacing(spacing) is None:
                    self._failed.append(f"{table}: {_needs_square(film.film)}")
                    continue
                spacing, source = (self._pixel_spacing, self._pixel_spacing), SpacingSource.USER
            if spacing is not None:
                spacing, source = rescaled(film.places, spacing, source)
            found = measured(
                film.places,
                spacing,
                norms=self._norms,
                sex=self._sex,
                age=self._age,
                spacing_source=source,
                uncertain=film.uncertain,
            )
            yield FilmMeasurements(film.film, found, spacing, source, film.image_uid, film.profile)

    def _of_films(self, source: Path) -> Iterator[FilmMeasurements]:
        from monai_ceph.readers import iter_radiographs

        films = [source]
        if source.is_dir():
            films = list(iter_radiographs([source]))
            if not films:
                raise CephError(f"{source}: no film in it")
        elif not source.exists():
            raise CephError(f"{source}: no such file or folder")
        # as detect calls them: by the path below the folder, which names no folder of the user
        below = os.fsencode(source if source.is_dir() else source.parent).decode("utf-8", errors="backslashreplace")
        found = self._make_detector()(
            films,
            pixel_spacing=self._pixel_spacing,
            force=self._force,
            on_error=lambda error: self._failed.append(str(error)),
        )
        for detection in found:
            name = os.path.relpath(detection.file, below or os.curdir)
            yield self._film(detection.model_copy(update={"file": name}))

    def _film(self, detection: Detection) -> FilmMeasurements:
        from monai_ceph.reports.measurement_table import FilmMeasurements

        return FilmMeasurements.of(detection, self._norms, self._sex, self._age)


def _needs_square(film: str) -> str:
    return f"{film}: its pixels are not square, so one --pixel-spacing for rows and columns would be wrong"


def _write(films: Iterable[FilmMeasurements], out: Path | None, wide: bool) -> None:
    from monai_ceph.reports.measurement_table import (
        MEASUREMENT_COLUMNS,
        WIDE_COLUMNS,
        measurement_rows,
        wide_row,
        write_measurements_parquet,
    )
    from monai_ceph.reports.tables import write_table
    from monai_ceph.storage.written_files import WrittenFiles

    if out is not None and out.suffix.lower() == ".parquet":
        with WrittenFiles(out.parent).writing(out.name) as part:
            write_measurements_parquet(part, films)
        return
    columns = WIDE_COLUMNS if wide else MEASUREMENT_COLUMNS
    rows = map(wide_row, films) if wide else chain.from_iterable(map(measurement_rows, films))
    if out is not None:
        with WrittenFiles(out.parent).writing(out.name) as part:
            write_table(part, columns, rows)
        return
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(columns)
    table.writerows(map(safe_cell, row) for row in rows)
