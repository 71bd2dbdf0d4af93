"""Sends the objects of signed films to archives and FHIR servers, in a thread per target, until each is confirmed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.review.films import ResultFilms, ReviewFilm
from monai_ceph.review.outbox import Outbox, Parcel, Promise
from monai_ceph.review.store import RevisionStore

if TYPE_CHECKING:
    from monai_ceph.archives.targets import Send, Sender

__all__ = ["OUTBOX", "Sending", "Sent", "send_signed"]

OUTBOX = ".outbox"
"""Folder in the reviews; no film can have this name."""

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 900.0
_IDLE_SECONDS = 1.0
_END_SECONDS = 10.0
# a signature is saved at once after its promise; later it was never saved
_PROMISE_SECONDS = 60.0


class Sending:
    """Sends what reviewers sign.

    Several servers may work on one folder: a lock lets only one at a time send to a target.

    Args:
        films: the results.
        store: the reviews.
        senders: senders to the targets, by their URLs.
    """

    def __init__(self, films: ResultFilms, store: RevisionStore, senders: Mapping[str, Sender]) -> None:
        self._films, self._store, self._senders = films, store, dict(senders)
        self.outbox = Outbox(store.folder / OUTBOX)
        self._ended = threading.Event()
        self._wakes = {target: threading.Event() for target in self._senders}
        self._threads: list[threading.Thread] = []

    @property
    def targets(self) -> list[str]:
        """URLs of the targets."""
        return list(self._senders)

    def start(self) -> None:
        """Send in the background from now on, also what was left by an earlier run."""
        for target in self._senders:
            thread = threading.Thread(target=self._run, args=(target,), daemon=True, name=f"sending to {target}")
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End the background threads; what was not sent stays in the outbox."""
        self._ended.set()
        self._wake()
        for thread in self._threads:
            thread.join(_END_SECONDS)
        # one that waits for an archive ends with the process; a kill at any time is safe
        if not any(thread.is_alive() for thread in self._threads):
            self.outbox.close()

    def _wake(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    def promise(self, film: ReviewFilm, revision: int) -> None:
        """Enter a film before its signature is saved.

        Raises:
            StoppedError: the outbox cannot be written.
        """
        self.outbox.promise(film.stem, revision, self._senders)

    def withdraw(self, film: ReviewFilm, revision: int) -> None:
        """Forget a film that was not signed after all."""
        self.outbox.withdraw(film.stem, revision)

    def signed(self) -> None:
        """Begin to make and send: a signature was saved."""
        self._wake()

    def again(self, film: ReviewFilm) -> None:
        """Send the newest signed version to every target that did not confirm it.

        Raises:
            CephError: nobody signed the film, or there is no target.
            StoppedError: the outbox cannot be written.
        """
        if not self._senders:
            raise CephError("there is no target: start the review with --to")
        final = self._store.final(film.stem)
        if not final:
            raise CephError(f"{film.detection.file}: nobody signed this film")
        number = final[-1].revision
        parcels = [each for each in self.outbox.parcels(film.stem) if each.revision == number]
        missing = self._senders.keys() - {each.target for each in parcels}
        # somebody may have removed a file
        missing |= {each.target for each in parcels if each.state != "sent" and not self.outbox.has(each)}
        if missing:
            self.outbox.promise(film.stem, number, missing & self._senders.keys())
        self.outbox.again(film.stem, number)
        self._wake()

    def state(self, film: ReviewFilm) -> dict[str, Any]:
        """Return what became of the newest signed version of a film, as ``docs/reference/review.md`` says."""
        final = self._store.final(film.stem)
        number = final[-1].revision if final else None
        parcels = [each for each in self.outbox.parcels(film.stem) if each.revision == number]
        promises = [
            (target, each)
            for target in self._senders
            for each in self.outbox.promises(target)
            if (each.stem, each.revision) == (film.stem, number)
        ]
        return {
            "revision": number,
            "state": self._word(
                [each for each in parcels if each.target in self._senders], [each for _, each in promises]
            ),
            "notes": list(dict.fromkeys(each.note for _, each in promises if each.note)),
            "objects": [
                {name: getattr(each, name) for name in _SHOWN} for each in sorted(parcels, key=lambda each: each.id)
            ],
        }

    def _word(self, parcels: list[Parcel], promises: list[Promise]) -> str:
        if not self._senders:
            return "off"
        if any(each.note for each in promises):
            return "impossible"
        if any(each.state == "refused" or (each.state == "waiting" and each.attempts) for each in parcels):
            return "failed"
        if promises or any(each.state == "waiting" for each in parcels):
            return "waiting"
        if parcels and {each.target for each in parcels} >= self._senders.keys():
            return "sent"
        return "none"

    def words(self) -> dict[str, str]:
        """Return ``waiting``, ``sent`` or ``failed`` by stem, for the newest version of each film that was queued."""
        parcels: dict[str, list[Parcel]] = defaultdict(list)
        promises: dict[str, list[Promise]] = defaultdict(list)
        for parcel in self.outbox.parcels():
            if parcel.target in self._senders:
                parcels[parcel.stem].append(parcel)
        for target in self._senders:
            for promise in self.outbox.promises(target):
                promises[promise.stem].append(promise)
        found = {}
        for stem in {*parcels, *promises}:
            newest = max([each.revision for each in parcels[stem]] + [each.revision for each in promises[stem]])
            word = self._word(
                [each for each in parcels[stem] if each.revision == newest],
                [each for each in promises[stem] if each.revision == newest],
            )
            if word != "none":
                found[stem] = "failed" if word == "impossible" else word
        return found

    def _run(self, target: str) -> None:
        failures = 0
        while not self._ended.is_set():
            self._wakes[target].clear()
            try:
                with self.lock(target):
                    failures = self.round(target, failures)
            except Timeout:
                pass  # another server sends to this target
            except (CephError, OSError):
                # such as a full disk: everything stays where it is, and the next round tries again
                failures += 1
            self._wakes[target].wait(_IDLE_SECONDS)

    def lock(self, target: str) -> FileLock:
        """Return the lock of a target; it raises ``filelock.Timeout`` if another process has it."""
        name = hashlib.sha256(target.encode()).hexdigest()[:16]
        return FileLock(self.outbox.folder / f"{name}.lock", timeout=0)

    def round(self, target: str, failures: int = 0) -> int:
        """Make the objects that are promised to a target, and send to it what is due.

        Args:
            target: its URL.
            failures: how often it could not be reached before.

        Returns:
            How often it could not be reached since it last answered.

        Raises:
            StoppedError: the outbox cannot be written.
        """
        for promise in self.outbox.promises(target):
            if promise.note is None:
                self._make(target, promise)
        due = self.outbox.due(target, time.time())
        if not due:
            return failures
        from monai_ceph.archives.targets import TargetError

        at_work: Parcel | None = None
        try:
            with self._senders[target].open() as send:
                for parcel in due:
                    if self._ended.is_set():
                        break
                    at_work = parcel
                    self._one(send, parcel)
                    failures = 0
        except TargetError as error:
            failures += 1
            pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 16), _LONGEST_PAUSE)
            # the object at work may be the cause, so the next round begins with the others
            for parcel in due if at_work is None else [at_work]:
                self._failed(parcel, "waiting", str(error), time.time() + pause)
        return failures

    def _make(self, target: str, promise: Promise) -> None:
        """Make the objects of a film, or record why that is impossible."""
        # imported only here: highdicom takes a second
        from monai_ceph.review.documents import FHIR, film_bundle, film_objects

        film = next((each for each in self._films.all() if each.stem == promise.stem), None)
        try:
            final = self._store.final(promise.stem)
            revision = next((each for each in final if each.revision == promise.revision), None)
            if revision is None:
                if time.time() - promise.entered > _PROMISE_SECONDS:
                    self.outbox.withdraw(promise.stem, promise.revision)
                return
            if film is None:
                raise CephError(f"{revision.film}: the results do not have this film any more")
            if (path := self._films.path(film)) is None:
                raise CephError(f"{revision.film}: the film is not at hand. Start the review with --films FOLDER")
            if film.detection.image_uid is None:
                raise CephError(f"{revision.film}: not a DICOM film, so nothing can be sent")
            kinds: Collection[str] = self._senders[target].objects
            radiograph = self._films.read(film) if {"pdf", "sc"} & set(kinds) else None
            link = self._store.links().get(self._store.file_of(promise.stem, promise.revision))
            known = {(each.kind, each.revision): each.uid for each in self.outbox.parcels(promise.stem)}
            arguments = film, path, revision, final, link, radiograph, kinds, known
            made, notes = film_objects(*arguments, settings=self._films.objects)
            if notes:
                raise CephError(f"{revision.film}: {'; '.join(notes)}")
            bundle = {FHIR: film_bundle(film, path, revision, final)} if FHIR in kinds else {}
        except StoppedError:
            raise
        except CephError as error:
            self.outbox.cannot_make(target, promise.stem, promise.revision, str(error))
            return
        self.outbox.keep(target, promise.stem, revision.film, promise.revision, {**made, **bundle})

    def _one(self, send: Send, parcel: Parcel) -> None:
        try:
            answer = send(self.outbox.path(parcel))
        except OSError as error:
            self._failed(parcel, "refused", f"its file cannot be read: {error.strerror or error}")
            return
        if not answer.taken:
            self._failed(parcel, "refused", answer.text)
            return
        self.outbox.note(parcel, "sent", self._audited(parcel, "sent", answer.text))

    def _failed(self, parcel: Parcel, state: str, cause: str, due: float = 0.0) -> None:
        # the same failure again is no news for the audit
        said = cause if cause == parcel.answer else self._audited(parcel, "not_sent", cause)
        self.outbox.note(parcel, state, said, due)

    def _audited(self, parcel: Parcel, event: str, answer: str) -> str:
        """Record an attempt in the audit. Return the answer, with a remark if that failed."""
        shown = {name: getattr(parcel, name) for name in ("film", "revision", "target", "kind", "uid")}
        try:
            self._store.note(event, **shown, answer=answer)
        except (CephError, OSError) as error:
            return f"{answer}; not in the audit: {error}"
        return answer


_SHOWN = ("target", "kind", "uid", "revision", "state", "answer", "attempts", "at")


@dataclass
class Sent:
    """How sending all signed films went.

    Attributes:
        films: films that are signed.
        confirmed: those of which every target has everything.
        causes: a sentence for each object or film that is not confirmed.
    """

    films: int = 0
    confirmed: int = 0
    causes: list[str] = field(default_factory=list)


def send_signed(films: ResultFilms, store: RevisionStore, senders: Mapping[str, Sender]) -> Sent:
    """Send the newest signed version of each film to every target that did not confirm it, once.

    Raises:
        CephError: the outbox is damaged, or another process sends to a target.
        StoppedError: the outbox cannot be written.
        OSError: it cannot be written.
    """
    result = Sent()
    signed = []
    for film in films.all():
        try:
            if store.final(film.stem):
                signed.append(film)
        except CephError as error:
            result.causes.append(f"{film.detection.file}: {error}")
    if not signed:
        return result
    sending = Sending(films, store, senders)
    try:
        for film in signed:
            sending.again(film)
        for target in sending.targets:
            try:
                with sending.lock(target):
                    # a connection may break at one object, and then the others are still to be tried
                    while sending.round(target) and sending.outbox.due(target, time.time()):
                        pass
            except Timeout as error:
                raise CephError(f"{target}: a review server sends to it now, and will go on") from error
        for film in signed:
            state = sending.state(film)
            result.films += 1
            result.confirmed += state["state"] == "sent"
            result.causes += state["notes"]
            result.causes += [
                f"{film.detection.file} ({each['kind']}) to {each['target']}: {each['answer'] or 'not tried'}"
                for each in state["objects"]
                if each["state"] != "sent" and each["target"] in sending.targets
            ]
    finally:
        sending.close()
    return result
