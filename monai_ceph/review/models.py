"""What page, server and files say to each other. Coordinates: (x, y), source pixels, pixel centres at integers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

__all__ = ["Calibration", "Measured", "Point", "Revision", "Save", "Sign", "StoredRevision", "checked_name"]

Place = tuple[float, float]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(_Strict):
    """One landmark in a review.

    Attributes:
        symbol: of the landmark.
        x: column, None if the landmark has no place.
        y: row, likewise.
        source: ``detected``: as the model has it, also if it found none; ``human``: a person placed or moved it;
            ``absent``: a person says that it is not on the film.
        moved_from: the detected place of a point that a person moved.
        by: name of the person who said so, None for ``detected``. The server enters it, whatever a page sends.
    """

    symbol: str = Field(min_length=1, max_length=64)
    x: Coordinate | None
    y: Coordinate | None
    source: Literal["detected", "human", "absent"]
    moved_from: tuple[Coordinate, Coordinate] | None = None
    by: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _whole(self) -> Point:
        if (self.x is None) != (self.y is None):
            raise ValueError(f"{self.symbol} has only one of x and y")
        if self.source == "human" and self.x is None:
            raise ValueError(f"{self.symbol} was placed by a person, but has no place")
        if self.source == "absent" and self.x is not None:
            raise ValueError(f"{self.symbol} is absent, but has a place")
        return self

    @property
    def place(self) -> Place | None:
        """(x, y), or None."""
        return None if self.x is None or self.y is None else (self.x, self.y)


class Calibration(_Strict):
    """A known length on the film: the line from (x1, y1) to (x2, y2) is ``mm`` long, says the person ``by``."""

    x1: Coordinate
    y1: Coordinate
    x2: Coordinate
    y2: Coordinate
    mm: float = Field(gt=0, le=1000, allow_inf_nan=False)
    by: str | None = Field(default=None, max_length=64)

    @property
    def line(self) -> tuple[float, ...]:
        """Both ends and the length."""
        return self.x1, self.y1, self.x2, self.y2, self.mm


def checked_name(name: str) -> str:
    """Return a person's name without white space around it.

    Raises:
        ValueError: it is empty, longer than 64 characters, or has characters that cannot be printed or are special in a
            DICOM name.
    """
    name = name.strip()
    if not name or len(name) > 64 or not name.isprintable() or any(sign in "\\=^" for sign in name):
        raise ValueError("the reviewer's name must have 1 to 64 printable characters without \\, = and ^")
    return name


Name = Annotated[str, AfterValidator(checked_name)]


class Measured(_Strict):
    """Points to measure."""

    points: tuple[Point, ...] = Field(max_length=100)
    calibration: Calibration | None = None


class Save(Measured):
    """A new revision, which follows the revision ``based_on``."""

    based_on: int = Field(ge=0)
    reviewer: Name
    note: str = Field(default="", max_length=4000)


class Sign(_Strict):
    """A signature of the revision ``based_on``."""

    based_on: int = Field(ge=0)
    reviewer: Name


class Revision(_Strict):
    """One state of the review of a film; revision 0 is the detection itself.

    Attributes:
        revision: from 1.
        state: ``final`` once a person signed it.
        reviewer: name of the person.
        saved_at: time in UTC.
        points: all landmarks that were detected or placed.
        calibration: the known length that gives the scale, None without one.
        note: what the person wrote.
        replaces: the last revision that was final, if this one follows it.
    """

    revision: int
    state: Literal["open", "draft", "final"]
    reviewer: str | None
    saved_at: AwareDatetime | None
    points: tuple[Point, ...]
    calibration: Calibration | None = None
    note: str = ""
    replaces: int | None = None


class StoredRevision(Revision):
    """A revision as its file has it, with what it belongs to.

    Attributes:
        schema_version: of the file; 1.0 did not say who placed each point.
        film: what the results call the film.
        image_uid: SOP Instance UID of the film.
        size: (columns, rows) of the film.
        weights_sha256: of the model that made the detection.
        recipe_sha256: likewise.
        changes: landmarks that differ from the revision before.
    """

    schema_version: Literal["1.0", "1.1"] = "1.1"
    film: str
    image_uid: str | None
    size: tuple[int, int]
    weights_sha256: str
    recipe_sha256: str
    changes: tuple[str, ...]

    @model_validator(mode="after")
    def _with_names(self) -> StoredRevision:
        """Name the person of each decision in a file of schema 1.0: who saved it."""
        if self.schema_version != "1.0":
            return self
        points = (
            point if point.source == "detected" else point.model_copy(update={"by": point.by or self.reviewer})
            for point in self.points
        )
        line = self.calibration and self.calibration.model_copy(update={"by": self.calibration.by or self.reviewer})
        return self.model_copy(update={"points": tuple(points), "calibration": line})

    def public(self) -> Revision:
        """Return what the page gets."""
        return Revision.model_validate({name: getattr(self, name) for name in Revision.model_fields})
