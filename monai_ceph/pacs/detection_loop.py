"""Detects on films in worker processes, the oldest film first. A crash of a process affects only its own film."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monai_ceph.archives.selection import Selection
from monai_ceph.archives.targets import Sender
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.config import DetectConfig
from monai_ceph.pacs.content import ANOTHER_IMAGE, NodeJob, objects_to_replace
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import Film, MadeObject, PastAnswer
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.review_folder import ReviewFolder
from monai_ceph.pacs.spool import Spool, fsync_folder, reference_of
from monai_ceph.readers import count_frames
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.work.executors import Died, Executor
from monai_ceph.work.film import Outcome
from monai_ceph.work.names import without_identity
from monai_ceph.work.options import SENT_FORMATS

__all__ = ["DetectionLoop", "Workers"]

# times that the whole node may end during work on one film
_MOST_STARTS = 10
_IDLE_SECONDS = 1.0
_PAUSE_SECONDS = 5.0


@dataclass
class _AtWork:
    """A film that is being worked on: the frames left, and the outcomes so far.

    ``before`` is the film that was received before under the same UID; this one must be the same image.
    """

    film: Film
    frames: list[int | None]
    before: Film | None = None
    deaths: int = 0
    frame: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)


class Workers(Executor, Protocol):
    """An executor that can be asked for results while more films arrive."""

    def wait_for(self, seconds: float) -> Outcome | Died | None:
        """Return the outcome of a job, or None if none ended within this time."""


class DetectionLoop:
    """Gives films to the workers and records the results.

    Args:
        executor: the workers, which write into the spool's folder of objects.
        spool: where films and objects are.
        ledger: lists the films to work on, and records the results.
        selection: which films are cephalograms.
        senders: the targets, with the kinds of objects for each.
        config: options of the detection.
        on_detected: called when there is something to send.
        review: keeps films and results for people; None: nobody reviews them here.
    """

    def __init__(
        self,
        executor: Workers,
        spool: Spool,
        ledger: NodeLedger,
        selection: Selection,
        senders: Sequence[Sender],
        config: DetectConfig,
        on_detected: Callable[[], None],
        review: ReviewFolder | None = None,
    ) -> None:
        self._executor, self._spool, self._ledger, self._selection = executor, spool, ledger, selection
        self._senders, self._config, self._on_detected, self._review = senders, config, on_detected, review
        self._at_work: dict[int, _AtWork] = {}
        self.wake = threading.Event()
        self.trouble: str | None = None
        """Why the disk or the ledger cannot be written at the moment."""

    def run(self, ended: threading.Event) -> None:
        """Work until the node ends. Films that were begun are finished first.

        Raises:
            StoppedError: no worker can be started.
        """
        while not ended.is_set():
            self.wake.clear()
            self._guarded(self._fill, ended)
            if self._at_work:
                # a short wait, so that idle workers get films that arrive meanwhile
                if (answer := self._executor.wait_for(_IDLE_SECONDS)) is not None:
                    self._guarded(lambda answer=answer: self._take(answer, ended), ended)  # type: ignore[misc]
            else:
                self.wake.wait(_IDLE_SECONDS)
        while self._at_work:
            answer = self._executor.wait()
            self._guarded(lambda answer=answer: self._take(answer, ended), ended)  # type: ignore[misc]

    def _guarded(self, work: Callable[[], None], ended: threading.Event) -> None:
        """Run a step that a full disk can stop. The films stay in their places and are tried again."""
        try:
            work()
            self.trouble = None
        except (StoppedError, OSError) as error:
            self.trouble = str(error)
            log("disk or ledger cannot be written", warning=True, cause=self.trouble)
            ended.wait(_PAUSE_SECONDS)

    def _fill(self) -> None:
        free = self._executor.capacity - len(self._at_work)
        if free <= 0:
            return
        for film in self._ledger.waiting(free, tuple(self._at_work)):
            self._begin(film)

    def _begin(self, film: Film) -> None:
        if film.attempts >= _MOST_STARTS:
            self._end(film, "dead", f"the node ended {film.attempts} times while working on this film")
            return
        path = self._spool.film(film.key)
        # a retry may be moving it back right now
        self._spool.settle(self._ledger, film.id)
        if not path.exists():
            self._end(film, "dead", "its file was removed")
            return
        try:
            refusal = self._selection.refusal(source_header(path))
            frames = count_frames(path) if refusal is None else 0
        except (StoppedError, OSError):
            raise
        except CephError as error:
            self._end(film, "dead", f"unreadable: {without_identity(str(error).removeprefix(f'{path}: '), path)}")
            return
        except Exception as error:  # parsers document few of their exceptions
            self._end(film, "dead", f"unreadable: {type(error).__name__}")
            return
        if refusal is not None:
            self._end(film, "skipped", f"not a cephalogram: {refusal}")
            return
        before = self._before(film)
        if before is not None and len((before.image_sha256 or "").split()) != frames:
            self._end(film, "dead", ANOTHER_IMAGE)
            return
        self._ledger.started(film)
        work = _AtWork(film, [None] if frames == 1 else [*range(1, frames + 1)], before)
        self._at_work[film.id] = work
        self._submit(work)

    def _before(self, film: Film) -> Film | None:
        """Return the film that was received before under the same UID, or None.

        A dead letter does not count if its file was removed or its pixels could not be read: it may have been damaged.
        """
        for each in self._ledger.rivals(film):
            if each.state != "dead" or (each.image_sha256 is not None and self._spool.has_letter(each.key)):
                return each
        return None

    def _submit(self, work: _AtWork) -> None:
        work.frame = work.frames[0]
        stem = work.film.key if work.frame is None else f"{work.film.key}_{work.frame}"
        name = work.film.uid if work.frame is None else f"{work.film.uid}#{work.frame}"
        path = self._spool.film(work.film.key)
        must_be = None
        if (before := work.before) is not None:
            must_be = (before.pixels_sha256 or before.image_sha256 or "").split()[(work.frame or 1) - 1]
        past = self._ledger.past_answers(work.film.uid, work.frame)
        self._executor.submit(
            NodeJob(work.film.id, path, work.frame, name, stem, work.film.uid, True, True, must_be=must_be, past=past)
        )

    def _take(self, answer: Outcome | Died, ended: threading.Event) -> None:
        work = self._at_work[answer.id]
        if isinstance(answer, Died):
            work.deaths += 1
            log("worker died", warning=True, uid=work.film.uid, times=work.deaths, too_long=answer.late)
            if work.deaths < self._config.attempts:
                self._submit(work)
                return
            del self._at_work[answer.id]
            cause = f"the process ended {work.deaths} times while working on the film"
            if answer.late:
                cause += f"; the last time, the film took longer than {self._config.timeout_s:g} s"
            self._end(work.film, "dead", cause)
            return
        if answer.stop is not None:
            del self._at_work[answer.id]
            self._ledger.not_started(work.film)
            raise StoppedError(answer.stop)
        work.outcomes.append(answer)
        del work.frames[0]
        if work.frames:
            self._submit(work)
            return
        # first of all: if the ledger fails below, the film is detected on again
        del self._at_work[answer.id]
        self._finish(work)

    def _finish(self, work: _AtWork) -> None:
        film = work.film
        digests = [outcome.image_sha256 for outcome in work.outcomes if outcome.image_sha256]
        if len(digests) == len(work.outcomes):
            pixels = [outcome.pixels_sha256 for outcome in work.outcomes if outcome.pixels_sha256]
            complete = len(pixels) == len(digests)
            self._ledger.pixels_read(film, " ".join(digests), " ".join(pixels) if complete else None)
        causes = [outcome.cause for outcome in work.outcomes if outcome.cause]
        warnings = [warning for outcome in work.outcomes for warning in outcome.warnings]
        objects = [] if len(causes) == len(work.outcomes) else self._objects(work)
        made = [(sender.name, item) for sender in self._senders for item in objects if item.kind in sender.objects]
        if ANOTHER_IMAGE in causes:
            # even if only one of several frames differs
            self._end(film, "dead", ANOTHER_IMAGE)
            return
        if not made:
            reasons = causes or [warning for warning in warnings if warning.startswith("No ")]
            self._end(film, "dead", "; ".join(dict.fromkeys(reasons)) or "no object could be made for any target")
            return
        if self._review is not None:
            # before the ledger: if this fails, the film is detected on again
            with self._ledger.holding():
                self._review.keep(self._spool.film(film.key), film.uid, work.outcomes)
        for kind in SENT_FORMATS:
            fsync_folder(self._spool.object(kind, film.key).parent)
        states = {outcome.state for outcome in work.outcomes}
        outcome = "done" if states == {"done"} else "uncertain"
        notes = dict.fromkeys([*causes, *warnings])
        # under one lock: otherwise the same film could arrive in between, and lose its file with the old one's
        with self._spool.lock:
            counts = self._ledger.detected(film, outcome, made, self._executor.identity, list(notes), work.before)
            if counts and work.before is not None:
                with self._ledger.holding():
                    self._spool.forget(work.before.key)
        if counts:
            log("detected", uid=film.uid, outcome=outcome, objects=len(objects), notes=len(notes))
            self._on_detected()
        else:
            self._tidy(film)

    def _objects(self, work: _AtWork) -> list[MadeObject]:
        frames = [None] if len(work.outcomes) == 1 else [*range(1, len(work.outcomes) + 1)]
        found = []
        for frame, outcome in zip(frames, work.outcomes, strict=True):
            stem = work.film.key if frame is None else f"{work.film.key}_{frame}"
            for kind in sorted(SENT_FORMATS):
                path = self._spool.object(kind, stem)
                if outcome.cause is None and path.exists():
                    made = reference_of(path)
                    found.append(MadeObject(kind, stem, made.uid, self._answer(work.film, kind, frame, outcome, made)))
        return found

    def _answer(
        self, film: Film, kind: str, frame: int | None, outcome: Outcome, made: ObjectReference
    ) -> PastAnswer | None:
        if outcome.answered is None:
            return None
        replaces = objects_to_replace(self._ledger.past_answers(film.uid, frame), outcome.answered).get(kind)
        return PastAnswer(kind, frame or 0, outcome.answered, made, replaces)

    def _end(self, film: Film, state: str, reason: str) -> None:
        if self._ledger.end(film, "dead" if state == "dead" else "skipped", reason):
            log(state, warning=state == "dead", uid=film.uid, cause=reason)
            self._spool.settle(self._ledger, film.id)
        else:
            self._tidy(film)

    def _tidy(self, film: Film) -> None:
        """Remove files made from an earlier content of the film."""
        with self._spool.lock, self._ledger.holding():
            if self._ledger.film_of(film.key) is None:
                self._spool.forget(film.key)
