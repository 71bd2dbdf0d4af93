"""Decide what to do with each film of a run, in which order, and record it in the ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from monai_ceph.batch.inputs import Found, Inputs
from monai_ceph.batch.ledger import MAX_ATTEMPTS, Ledger, Row
from monai_ceph.batch.results import Results
from monai_ceph.errors import StoppedError
from monai_ceph.work.executors import Died, LazyExecutor
from monai_ceph.work.film import BrokenDeviceError, FilmJob, Outcome
from monai_ceph.work.film_head import FilmHead, may_name_a_patient
from monai_ceph.work.interruption import Interrupted
from monai_ceph.work.names import file_stem, film_name, readable
from monai_ceph.work.options import Options
from monai_ceph.work.remote import url_of

__all__ = ["OnFilm", "Schedule"]

OnFilm = Callable[[str, "Outcome | None"], None]
"""Takes the name of a film and its outcome; None if an earlier run ended it."""

DIED = "failed: the process died twice while working on it"
LATE = "failed: it took longer than --film-timeout allows, twice"

# if the original of a duplicate changed, the duplicate is open again, and the second search finds it
_WALKS = 2


class Schedule:
    """Gives the films of a run to the executor, and records their outcomes.

    A film is recorded as started before its file is opened, and as ended once its files are in place. So the next run
    knows which film killed the process. It works on that film while nothing else is worked on, and gives it up if it
    kills the process again.

    Args:
        ledger: ledger of the results.
        executor: does the work.
        inputs: the films.
        results: the folder for the files.
        options: options of the run.
        on_film: called with every film.
        interrupted: asked before every film whether the run should end.
    """

    def __init__(
        self,
        ledger: Ledger,
        executor: LazyExecutor,
        inputs: Inputs,
        results: Results,
        options: Options,
        on_film: OnFilm,
        interrupted: Interrupted,
    ) -> None:
        self._ledger, self._executor, self._inputs = ledger, executor, inputs
        self._results, self._options, self._on_film = results, options, on_film
        self._interrupted = interrupted
        self._settings = ledger.settings(options.settings(executor.identity))
        self._in_flight: dict[int, FilmJob] = {}
        self._died: list[FilmJob] = []
        self._taken: Path | None = None
        self._late: set[int] = set()
        self.parts: Counter[str] = Counter()
        """Seconds for each part of the work, summed over all workers."""
        self.began: float | None = None
        """Time of the first film, from ``time.perf_counter``; None before that."""

    def work(self) -> None:
        """Work on all films.

        Raises:
            StoppedError: if every further film would fail.
            OtherModelError: if the executor's model is not the expected one; no film was changed.
            KeyboardInterrupt: if the run was asked to end; no film is being worked on.
        """
        self._ledger.forget_missing()
        for _ in range(_WALKS):
            for found in self._inputs:
                self._end_if_asked()
                self._take(found)
            self._make_room(alone=True)
            if not self._ledger.unended():
                break

    def _end_if_asked(self) -> None:
        if self._interrupted():
            while self._in_flight:
                self._next()
            raise KeyboardInterrupt

    def stop(self, error: BaseException) -> None:
        """End the run in order. Films that were being worked on stay open, except one that broke the device."""
        if isinstance(error, BrokenDeviceError) and error.film is not None:
            self._in_flight.pop(error.film, None)
        self._executor.close(at_once=True)
        self._ledger.release(self._in_flight)
        for job in (*self._in_flight.values(), *self._died):
            if self._ledger.row(job.id).state is None:
                self._results.remove_film(job.stem)

    # what is to be done with a file

    def _take(self, found: Found) -> None:
        rows = self._ledger.rows(found.key)
        if any(row.seen_in == self._ledger.run for row in rows) and all(
            row.state or row.id in self._in_flight for row in rows
        ):
            return  # given twice
        open_rows = [row for row in rows if not self._is_finished(row, found)]
        unchanged = all(self._unchanged(row, found) for row in rows)
        if rows and (unchanged or not open_rows):
            self._ledger.see(found.key)
            for row in rows:
                if row not in open_rows:
                    self._on_film(row.name, None)
            if not open_rows:
                return
        self._executor.ready()
        self.began = self.began or time.perf_counter()
        self._taken = found.path
        self._work_on_rows(found, rows, open_rows, unchanged)
        self._taken = None
        self._forget(found.path)

    def _work_on_rows(self, found: Found, rows: list[Row], open_rows: list[Row], unchanged: bool) -> None:
        """Work on the films of one file: all of them, or those that are open."""
        # if the process may have died from this film, work on nothing else meanwhile
        self._make_room(alone=any(row.attempts and row.state is None for row in open_rows))
        # until its head is read, a file may be DICOM
        if not rows:
            name = film_name(found.key, self._path_name(found, dicom=True), None)
            open_rows = [self._ledger.add(found.key, name, found.size, found.mtime_ns, self._settings)]
        elif unchanged:
            self._ledger.reopen(row.id for row in open_rows)
            open_rows = [self._ledger.row(row.id) for row in open_rows]
        else:
            open_rows = [self._start_again(found, rows)]
        # only DICOM files have several frames
        dicom = True
        if open_rows[0].frame == 0:
            open_rows, dicom = self._read_head(found, open_rows[0])
        for row in open_rows:
            self._end_if_asked()
            self._work_on(found, row, dicom)

    def _unchanged(self, row: Row, found: Found) -> bool:
        """Return whether the file and the settings are those of the row. A file that is gone counts as unchanged."""
        file = found.size is None or (row.size, row.mtime_ns) == (found.size, found.mtime_ns)
        return file and row.settings == self._settings

    def _is_finished(self, row: Row, found: Found) -> bool:
        """Return whether an earlier run finished the film, and its result is still valid."""
        if row.state is None or (row.state == "failed" and self._options.retry_failed):
            return False
        return self._unchanged(row, found) or (found.size is None and row.state != "failed")

    def _start_again(self, found: Found, rows: list[Row]) -> Row:
        """Forget the result of an earlier run, and remove its files."""
        self._ledger.reopen(row.id for row in rows)
        for row in rows:
            if row.stem is not None:
                self._results.remove_film(row.stem)
        name = film_name(found.key, self._path_name(found, dicom=True), None)
        return self._ledger.restart(found.key, name, found.size, found.mtime_ns, self._settings)

    def _shows_path(self, found: Found, dicom: bool) -> bool:
        """Return whether a path names the film. Behind a URL this is so only if the file is not DICOM."""
        if self._options.deidentify:
            return False
        by_path = self._options.names == "path" and url_of(found.path) is None
        return by_path or not dicom

    def _path_name(self, found: Found, dicom: bool) -> Path | None:
        """Return the path that names a film; None if its UID does."""
        return self._free_path(found) if self._shows_path(found, dicom) else None

    def _free_path(self, found: Found) -> Path:
        """Return the path below the given folder, or a longer one if another film in the ledger has that name."""
        if url_of(found.path) is not None:
            return found.shown
        for path in (found.place, found.shown):
            if not self._ledger.has_name(readable(path), found.key):
                return path
        return found.path

    def _path_without_uid(self, found: Found, dicom: bool) -> Path | None:
        """Return a path that names a file without a UID, so that a person finds it; None if no path may be shown."""
        if self._shows_path(found, dicom):
            return self._free_path(found)
        return None if self._options.deidentify else found.place

    def _read_head(self, found: Found, row: Row) -> tuple[list[Row], bool]:
        """Read the names and UIDs of a file's frames, and whether it may be DICOM.

        A file that must not be read again ends here.
        """
        if row.attempts >= MAX_ATTEMPTS:
            # the UID is known if the head was read before the process died
            if row.uid is None:
                shown = self._path_without_uid(found, may_name_a_patient(found.path))
                self._ledger.describe(row, [(film_name(found.key, shown, None), None)], None)
            self._end(Outcome(row.id, "failed", DIED))
            return [], True
        self._ledger.begin(row.id)
        head = self._executor.ready().read_head(found.path)
        name_of = self._path_without_uid if head.uid is None else self._path_name
        shown = name_of(found, head.dicom)
        numbers = range(1, head.frames + 1) if head.frames is not None and head.frames > 1 else [None]
        uid = self._uid(head)
        # an unreadable file is not a duplicate of a readable one
        image = uid if head.frames is not None else None
        names = [(film_name(found.key, shown, uid, number), image) for number in numbers]
        # the process survived; reading the head and working on the film are separate attempts
        return self._ledger.describe(row, names, head.file_sha256), head.dicom

    def _uid(self, head: FilmHead) -> str | None:
        """Return the UID of an image, or the UID that replaces it."""
        if head.uid is None or not self._options.deidentify:
            return head.uid
        from monai_ceph.reports.deidentify import deidentified_uid

        return deidentified_uid(head.uid)

    def _work_on(self, found: Found, row: Row, dicom: bool) -> None:
        """Give one film to the executor, unless its outcome is known already."""
        if row.attempts >= MAX_ATTEMPTS:
            self._end(Outcome(row.id, "failed", DIED))
            return
        alone = row.attempts > 0
        self._make_room(alone)
        if row.uid is not None and self._is_duplicate(row):
            return
        if row.stem is not None:
            # files of an earlier attempt
            self._results.remove_film(row.stem)
        stem = self._ledger.claim(row.id, filter(self._results.is_free, _stems(row)))
        job = FilmJob(
            id=row.id,
            path=found.path,
            frame=row.frame or None,
            name=row.name,
            stem=stem,
            uid=row.uid,
            dicom=dicom,
            anonymous=not self._shows_path(found, dicom),
            judged=self._ledger.images(row),
        )
        self._hand_out(job)
        self._make_room(alone)

    def _is_duplicate(self, row: Row) -> bool:
        """End a film if its image has a result already, and return True.

        Otherwise it replaces results of the same image with other settings. A file with other bytes may still be the
        same image: that shows when it is read.
        """
        while any(job.uid == row.uid and (job.frame or 0) == row.frame for job in self._in_flight.values()):
            self._next()
        self._make_room()
        if original := self._ledger.original(row):
            self._end_as_duplicate(row, original)
            return True
        self._supersede(row, self._ledger.superseded(row))
        return False

    def _end_as_duplicate(self, row: Row, original: Row) -> None:
        assert original.state is not None
        if row.stem is not None:
            self._results.remove_film(row.stem)
        self._ledger.duplicate(row.id, original)
        self._on_film(row.name, Outcome(row.id, original.state, duplicate_of=original.name))

    def _supersede(self, row: Row, others: list[Row]) -> None:
        for other in others:
            if other.stem is not None:
                self._results.remove_film(other.stem)
        self._ledger.supersede([other.id for other in others], row.id)

    # what comes back

    def _hand_out(self, job: FilmJob) -> None:
        self._ledger.begin(job.id)
        self._in_flight[job.id] = job
        # files of a worker that died
        self._results.discard(job.stem)
        self._executor.ready().submit(job)

    def _make_room(self, alone: bool = False) -> None:
        """Wait until the executor can take a film; with ``alone``, until it works on nothing else."""
        while len(self._in_flight) >= (1 if alone or self._died else self._executor.ready().capacity):
            self._next()
        while self._died:
            # nothing else is worked on at the second attempt, so that only this film can be the cause
            self._end_if_asked()
            job = self._died.pop()
            if self._ledger.row(job.id).attempts >= MAX_ATTEMPTS:
                self._end(Outcome(job.id, "failed", LATE if job.id in self._late else DIED))
                self._forget(job.path)
                continue
            self._hand_out(job)
            while self._in_flight:
                self._next()

    def _next(self) -> None:
        """Wait for one outcome, and record it."""
        result = self._executor.ready().wait()
        if isinstance(result, Died):
            self._died.append(self._in_flight.pop(result.id))
            # if the film is given up, the cause is that of the second attempt
            if result.late:
                self._late.add(result.id)
            else:
                self._late.discard(result.id)
            return
        if result.stop is not None:
            raise StoppedError(result.stop)
        self._end(result)
        self._forget(self._in_flight.pop(result.id).path)

    def _forget(self, path: Path) -> None:
        """Let the executor delete what it fetched for a file, once all films in it have ended."""
        if path != self._taken and all(job.path != path for job in (*self._in_flight.values(), *self._died)):
            self._executor.ready().forget(path)

    def _end(self, outcome: Outcome) -> None:
        row = self._ledger.row(outcome.id)
        if outcome.same_image:
            original = self._ledger.original(row, outcome.image_sha256)
            assert original is not None
            self._end_as_duplicate(row, original)
            return
        if row.stem is not None and outcome.detection is None:
            self._results.discard(row.stem)
            self._results.remove_film(row.stem)
        elif row.stem is not None:
            self._results.publish_film(row.stem)
        if outcome.image_sha256 is not None and outcome.state != "failed":
            self._supersede(row, self._ledger.superseded(row, outcome.image_sha256))
        self._ledger.settle(outcome.id, outcome.state, outcome.cause, outcome.detection, outcome.image_sha256)
        self.parts.update(outcome.seconds)
        self._on_film(row.name, outcome)


def _stems(row: Row) -> Iterator[str]:
    """Yield possible file names for a film's outputs: other films may have the first ones."""
    stem = file_stem(row.name)
    yield from (stem, f"{stem}-{row.key[:12]}", f"{stem}-{row.key}")
    yield from (f"{stem}-{row.key}-{number}" for number in count(2))
