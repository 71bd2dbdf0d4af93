"""What the server does for a request, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_ceph.errors import CephError
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.reports.report_figure import uncertainty_radii
from monai_ceph.result import Detection
from monai_ceph.review import READINGS, REVIEWS
from monai_ceph.review.films import ResultFilms, ReviewFilm
from monai_ceph.review.heatmaps import Heatmaps
from monai_ceph.review.measuring import measured
from monai_ceph.review.models import Measured, Revision, Save, Sign, StoredRevision
from monai_ceph.review.pictures import Pictures, Pixels
from monai_ceph.review.reviewing import (
    calibration_of,
    checked,
    first_revision,
    moves,
    reviewed,
    slug,
    undecided,
)
from monai_ceph.review.sending import Sending
from monai_ceph.review.store import Conflict, RevisionStore
from monai_ceph.work.heatmaps import Heatmap

if TYPE_CHECKING:
    from monai_ceph.archives.targets import Sender

__all__ = ["ReviewService"]


class ReviewService:
    """The films of one folder of results, and their reviews.

    Args:
        results: the folder.
        films: where the films are.
        reviewer: name of the person, if it is known at the start.
        blind: hide the detection and other people's points; needs a reviewer.
        deidentify: show no patient.
        senders: where signed films are sent, by the URLs of the targets.
        heatmaps: makes heatmaps; None: with the shipped model.
        objects: settings of the DICOM objects.

    Raises:
        CephError: the folder holds no results, or ``blind`` without a reviewer or with a target.
        StoppedError: the outbox cannot be written.
        OSError: a save that a kill interrupted cannot be finished.
    """

    def __init__(
        self,
        results: Path,
        films: list[Path],
        reviewer: str | None = None,
        blind: bool = False,
        deidentify: bool = False,
        senders: Mapping[str, Sender] | None = None,
        heatmaps: Heatmaps | None = None,
        objects: ObjectSettings = DEFAULT_SETTINGS,
    ) -> None:
        if blind and reviewer is None:
            raise CephError("a blind reading needs the name of the reader: --reviewer NAME")
        if blind and senders:
            raise CephError("a blind reading is not sent anywhere: leave out --to")
        self.films = ResultFilms(results, films, objects)
        self.results, self.reviewer, self.blind, self.deidentify = results, reviewer, blind, deidentify
        folder = results / READINGS / slug(reviewer) if blind and reviewer is not None else results / REVIEWS
        self.store = RevisionStore(folder)
        self.store.recover()
        self.pictures = Pictures(folder / ".thumbnails")
        self.sending = Sending(self.films, self.store, senders) if senders else None
        if self.sending is not None:
            self.sending.start()
        self.heatmaps = heatmaps or Heatmaps()

    def close(self) -> None:
        """End what runs in the background."""
        self.heatmaps.close()
        if self.sending is not None:
            self.sending.close()

    def worklist(self) -> list[dict[str, Any]]:
        """Return all films, those that need a person first."""
        rows = []
        deliveries = {} if self.sending is None else self.sending.words()
        for film in self.films.all():
            newest = self._newest(film)
            state = newest.state if newest is not None else "open"
            decided = {point.symbol for point in newest.points if point.source != "detected"} if newest else set()
            row = {
                "id": film.id,
                "film": film.detection.file,
                "state": state,
                "revision": 0 if newest is None else newest.revision,
                "reviewer": None if newest is None else newest.reviewer,
                "attention": [] if self.blind else film.attention(decided),
                "missing": 0 if self.blind else len(film.symbols("missing", decided)),
                "uncertain": 0 if self.blind else len(film.symbols("uncertain", decided)),
                "spacing": film.detection.pixel_spacing is not None or bool(newest and newest.calibration),
                "patient": None if self.deidentify else self.films.patient(film),
                "delivery": deliveries.get(film.stem),
            }
            urgency = () if self.blind else tuple(-part for part in film.urgency(decided))
            rows.append((state == "final", urgency, film.detection.file, row))
        return [row for *_, row in sorted(rows, key=lambda each: each[:3])]

    def film(self, film_id: str) -> ReviewFilm:
        """Return a film by its id.

        Raises:
            KeyError: there is none.
        """
        film = self.films.get(film_id)
        if film is None:
            raise KeyError(film_id)
        return film

    def current(self, film: ReviewFilm) -> Revision:
        """Return the newest revision of a film, or revision 0.

        Raises:
            CephError: its file cannot be read, or belongs to another image.
        """
        newest = self._newest(film)
        return first_revision(film.detection, self.blind) if newest is None else newest.public()

    def _newest(self, film: ReviewFilm) -> StoredRevision | None:
        newest = self.store.newest(film.stem)
        detection = film.detection
        if newest is not None and (newest.image_uid, newest.size) != (
            detection.image_uid,
            (detection.columns, detection.rows),
        ):
            folder = self.store.folder / film.stem
            raise CephError(f"{film.detection.file}: the review in {folder} is of another image. Move it away")
        return newest

    def page(self, film: ReviewFilm) -> dict[str, Any]:
        """Return everything about one film except its pixels.

        Raises:
            CephError: the film is not at hand, or a file cannot be read.
        """
        detection, current, pixels = film.detection, self.current(film), self.pixels(film)
        newest = self._newest(film)
        warnings = list(detection.warnings) if not self.blind else []
        if newest is not None and (newest.weights_sha256, newest.recipe_sha256) != _model(detection):
            warnings.append("Another model detected on this film after the review; the points of the review stay.")
        return {
            "id": film.id,
            "film": detection.file,
            "width": detection.columns,
            "height": detection.rows,
            "pixel_spacing": detection.pixel_spacing,
            "spacing_source": detection.spacing_source.value,
            "window": {"center": pixels.center, "width": pixels.width},
            "invert": detection.inverted,
            "minimum": pixels.minimum,
            "maximum": pixels.maximum,
            "detection": None if self.blind else {"landmarks": _landmarks(detection)},
            "warnings": warnings,
            "patient": None if self.deidentify else self.films.patient(film),
            "review": current.model_dump(mode="json"),
            "history": [
                {
                    "revision": each.revision,
                    "saved_at": each.model_dump(mode="json")["saved_at"],
                    "reviewer": each.reviewer,
                    "state": each.state,
                    "changes": len(each.changes),
                }
                for each in self.store.history(film.stem)
            ],
            "delivery": self.delivery(film),
            **measured(reviewed(detection, current.points, current.calibration)),
        }

    def pixels(self, film: ReviewFilm) -> Pixels:
        """Return the pixels of a film.

        Raises:
            CephError: the film is not at hand, or cannot be read.
        """
        return self.pictures.pixels(self.films.key(film), lambda: self.films.read(film))

    def thumbnail(self, film: ReviewFilm) -> bytes:
        """Return a small picture as PNG; errors as :meth:`pixels`."""
        return self.pictures.thumbnail(self.films.key(film), lambda: self.films.read(film))

    def heatmap(self, film: ReviewFilm, symbol: str) -> tuple[Heatmap, bool]:
        """Return the heatmap of a landmark, and whether it is of the model that made the detection.

        Raises:
            KeyError: the model does not detect this landmark.
            NotPossibleError: nothing can be detected here.
            CephError: the film is not at hand, or there is no heatmap of it.
        """
        key, path = self.films.key(film), self.films.path(film)
        if symbol not in {mark.symbol for mark in film.detection.landmarks}:
            raise KeyError(symbol)
        assert path is not None
        found = self.heatmaps.of(key, path, film.detection.frame)
        return found.by_symbol[symbol], found.weights_sha256 == film.detection.model.weights_sha256

    def measure(self, film: ReviewFilm, body: Measured) -> dict[str, Any]:
        """Return measurements and lines of points that are not saved.

        Raises:
            CephError: the points or the calibration cannot be right.
        """
        points = checked(body.points, film.detection, first_revision(film.detection, self.blind), self.blind)
        return measured(reviewed(film.detection, points, body.calibration))

    def save(self, film: ReviewFilm, body: Save) -> Revision:
        """Save a draft.

        Raises:
            Conflict: somebody else saved in the meantime.
            CephError: the points or the calibration cannot be right, or the reader is not the one of a blind reading.
            OSError: it cannot be written; then nothing has changed.
        """
        before = self._follow(film, body)
        points = checked(body.points, film.detection, before, self.blind, body.reviewer)
        calibration = calibration_of(body.calibration, before, body.reviewer)
        reviewed(film.detection, points, calibration)
        replaces = before.revision if before.state == "final" else before.replaces
        return self._add(
            film, before, "saved", body.reviewer, points=points, calibration=calibration, note=body.note,
            state="draft", replaces=replaces,
        )  # fmt: skip

    def sign(self, film: ReviewFilm, body: Sign) -> Revision:
        """Make the newest revision final.

        Raises:
            Conflict: somebody else saved in the meantime.
            CephError: a landmark is undecided, or the revision is final already.
            StoppedError: the outbox cannot be written; then nothing has changed.
            OSError: it cannot be written; then nothing has changed.
        """
        before = self._follow(film, body)
        if before.state == "final":
            raise CephError(f"revision {before.revision} is final already")
        if open_points := undecided(before.points):
            raise CephError(f"undecided: {', '.join(open_points)}. Place them, or say that they are not on the film")
        if self.sending is None:
            return self._signed(film, before, body.reviewer)
        # first, so that a kill in between forgets no film
        self.sending.promise(film, before.revision + 1)
        try:
            signed = self._signed(film, before, body.reviewer)
        except BaseException:
            self.sending.withdraw(film, before.revision + 1)
            raise
        self.sending.signed()
        return signed

    def _signed(self, film: ReviewFilm, before: Revision, reviewer: str) -> Revision:
        return self._add(
            film, before, "signed", reviewer, points=before.points, calibration=before.calibration,
            note=before.note, state="final", replaces=before.replaces,
        )  # fmt: skip

    def delivery(self, film: ReviewFilm) -> dict[str, Any]:
        """Return what became of the newest signed version of a film."""
        if self.sending is not None:
            return self.sending.state(film)
        final = [] if self.blind else self.store.final(film.stem)
        return {"revision": final[-1].revision if final else None, "state": "off", "notes": [], "objects": []}

    def send(self, film: ReviewFilm) -> dict[str, Any]:
        """Send the newest signed version of a film to each target that did not confirm it.

        Raises:
            CephError: nobody signed the film, or there is no target.
            StoppedError: the outbox cannot be written.
        """
        if self.sending is None:
            raise CephError("there is no target: start the review with --to")
        self.sending.again(film)
        return self.sending.state(film)

    def _follow(self, film: ReviewFilm, body: Save | Sign) -> Revision:
        """Return the revision that a new one follows."""
        if self.blind and body.reviewer != self.reviewer:
            raise CephError(f"this is the blind reading of {self.reviewer}. Start another review for another reader")
        newest = self._newest(film)
        if body.based_on != (0 if newest is None else newest.revision):
            raise Conflict(newest)
        return self.current(film)

    def _add(self, film: ReviewFilm, before: Revision, event: str, reviewer: str, **content: Any) -> Revision:
        detection = film.detection
        earlier = {point.symbol: point for point in before.points}
        now = {point.symbol: point for point in content["points"]}
        changes = [
            symbol for symbol in (*now, *(earlier.keys() - now.keys())) if now.get(symbol) != earlier.get(symbol)
        ]
        weights, recipe = _model(detection)
        stored = StoredRevision(
            revision=before.revision + 1,
            reviewer=reviewer,
            saved_at=datetime.now(timezone.utc),
            film=detection.file,
            image_uid=detection.image_uid,
            size=(detection.columns, detection.rows),
            weights_sha256=weights,
            recipe_sha256=recipe,
            changes=tuple(changes),
            **content,
        )
        return self.store.add(film.stem, stored, event, moves(stored.points, detection)).public()


def _model(detection: Detection) -> tuple[str, str]:
    return detection.model.weights_sha256, detection.model.recipe_sha256


def _landmarks(detection: Detection) -> list[dict[str, Any]]:
    radii = uncertainty_radii(detection)
    return [
        {
            **{name: getattr(mark, name) for name in ("symbol", "x", "y", "status", "score", "radius_90_px")},
            "expected": None if mark.expected_x is None else (mark.expected_x, mark.expected_y),
            "radius_px": radii.get(mark.symbol),
        }
        for mark in detection.landmarks
    ]
