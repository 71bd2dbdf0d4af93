"""The ledger of a node: the state of every film, in one SQLite file that is written before anything is answered.

A film is ``received``, then ``detected`` when its objects are on the disk. They are sent to all targets, and the film
is ``done`` once all have arrived. It is ``dead`` with a reason if that is impossible, and ``skipped`` if its header
says that it is not a cephalogram. Every change adds a row to ``audit`` in the same transaction; these rows cannot be
changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from monai_ceph.pacs.ledger_deliveries import FILM, DeliveryLedger
from monai_ceph.pacs.ledger_rows import Film, FilmState, MadeObject, PastAnswer, Receipt
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.result import ModelIdentity

__all__ = ["NodeLedger"]

# films that an older version received have no hash of their pixels
_IS_CONTENT = "(? IS NULL OR content IS NULL OR content = ?)"


class NodeLedger(DeliveryLedger):
    """The ledger, for all threads of the one process that holds the folder.

    Args:
        path: of the SQLite file, created if necessary.

    Raises:
        CephError: the file is something else.
        StoppedError: it cannot be written, here and in every method.
    """

    def receive(
        self, uid: str, key: str, sender: str, size: int, model: ModelIdentity, content: str | None = None
    ) -> Receipt:
        """Add a film whose file is on the disk under its key. It is safe once this returns.

        The same bytes again are not a new film while it is unfinished or after this model finished it; a dead or
        skipped film is restarted. Other bytes under the same UID replace the old ones if they are the same image.
        Otherwise they are another film with the same UID, see :meth:`rivals`.

        Args:
            uid: SOP Instance UID.
            key: name of its files.
            sender: AE title of the sender, or the way it came.
            size: in bytes.
            model: the model that will detect on it.
            content: hash of its PatientID and its stored pixel data; None matches every content.
        """
        with self._writing(durable=True):
            known = self._same_image(uid, key, content)
            text = _model_text(model)
            if known is None:
                self.database.execute(
                    "INSERT INTO films (uid, key, sender, size, received, state, content) "
                    "VALUES (?, ?, ?, ?, ?, 'received', ?)",
                    *(uid, key, sender, size, time.time(), content),
                )
                self._audit("received", uid, sender=sender, bytes=size, key=key)
                return Receipt(new=True)
            done_by = self.database.rows("SELECT model FROM films WHERE id = ?", known.id)[0][0]
            same = key == known.key
            if same and (known.state in ("received", "detected") or (known.state == "done" and done_by == text)):
                self._audit("received again", uid, sender=sender, bytes=size, key=key)
                return Receipt(new=False)
            earlier = self._objects_of(known.id)
            self.database.execute("DELETE FROM deliveries WHERE film = ?", known.id)
            self._restart(known.id, "received")
            self.database.execute(
                "UPDATE films SET key = ?, sender = ?, size = ?, received = ?, content = ? WHERE id = ?",
                *(key, sender, size, time.time(), content, known.id),
            )
            self._audit("received anew", uid, sender=sender, bytes=size, key=key, earlier_objects=earlier)
            return Receipt(new=True, replaced=None if same else known.key)

    def waiting(self, count: int, without: Sequence[int] = ()) -> list[Film]:
        """Return the oldest films that wait for detection; of films with the same UID only the first."""
        marks = ", ".join("?" * len(without))
        earlier = "SELECT 1 FROM films e WHERE e.uid = films.uid AND e.id < films.id AND e.state = 'received'"
        with self.lock:
            rows = self.database.rows(
                f"{FILM} WHERE state = 'received' AND id NOT IN ({marks}) AND NOT EXISTS ({earlier}) "
                "ORDER BY received, id LIMIT ?",
                *(*without, count),
            )
        return [Film(*row) for row in rows]

    def started(self, film: Film) -> None:
        """Record that work on a film begins, to count the crashes that it causes."""
        with self._writing():
            self.database.execute("UPDATE films SET attempts = attempts + 1 WHERE id = ?", film.id)

    def not_started(self, film: Film) -> None:
        """Undo :meth:`started`: the work ended in order, without a result."""
        with self._writing():
            self.database.execute("UPDATE films SET attempts = max(attempts - 1, 0) WHERE id = ?", film.id)

    def detected(
        self,
        film: Film,
        outcome: str,
        made: Sequence[tuple[str, MadeObject]],
        model: ModelIdentity,
        notes: Sequence[str],
        replaces: Film | None = None,
    ) -> bool:
        """Record that the objects of a film are on the disk.

        Args:
            film: the film.
            outcome: ``done`` or ``uncertain``.
            made: pairs of a target and an object for it.
            model: the model that detected.
            notes: warnings of the detection.
            replaces: a film that turned out to be the same image; its row is deleted.

        Returns:
            False if the film was restarted meanwhile, so that this result is ignored.
        """
        with self._writing(durable=True):
            if not self._current(film):
                return False
            earlier = [] if replaces is None else self._objects_of(replaces.id)
            if replaces is not None:
                self.database.execute("DELETE FROM deliveries WHERE film = ?", replaces.id)
                self.database.execute("DELETE FROM films WHERE id = ?", replaces.id)
            self.database.execute(
                "UPDATE films SET state = 'detected', attempts = 0, outcome = ?, model = ? WHERE id = ?",
                *(outcome, _model_text(model), film.id),
            )
            now = time.time()
            for target, item in made:
                self.database.execute(
                    "INSERT INTO deliveries (film, target, kind, stem, uid, since, next_try) "
                    "VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (film, target, stem, kind) DO NOTHING",
                    *(film.id, target, item.kind, item.stem, item.uid, now),
                )
            objects = {item.uid: item for _, item in made}
            for item in objects.values():
                self._keep_answer(film.uid, item)
            replaced = {
                uid: item.answer.replaces.uid for uid, item in objects.items() if item.answer and item.answer.replaces
            }
            details: dict[str, object] = {"objects": sorted(objects), "notes": list(notes), **_model_details(model)}
            if replaced or earlier:
                details |= {"replaces": replaced, "earlier_objects": earlier}
            self._audit("detected", film.uid, outcome=outcome, **details)
            return True

    def pixels_read(self, film: Film, image_sha256: str, pixels_sha256: str | None = None) -> None:
        """Record the digests of a film's images, one per frame, with blanks between."""
        with self._writing():
            if self._current(film):
                self.database.execute(
                    "UPDATE films SET image_sha256 = ?, pixels_sha256 = ? WHERE id = ?",
                    *(image_sha256, pixels_sha256, film.id),
                )

    def past_answers(self, image_uid: str, frame: int | None) -> tuple[PastAnswer, ...]:
        """Return the last object of each kind that was made for an image or one of its frames."""
        with self.lock:
            rows = self.database.rows(
                "SELECT kind, answered, reference, replaces FROM answers WHERE image_uid = ? AND frame = ?",
                *(image_uid, frame or 0),
            )
        return tuple(
            PastAnswer(
                *(kind, frame or 0, answered, ObjectReference(**json.loads(reference))),
                ObjectReference(**json.loads(replaces)) if replaces else None,
            )
            for kind, answered, reference, replaces in rows
        )

    def end(self, film: Film, state: FilmState, reason: str) -> bool:
        """Record that a film is ``dead`` or ``skipped``. Return False if it was restarted meanwhile."""
        with self._writing(durable=True):
            if not self._current(film):
                return False
            self._end(film.id, film.uid, state, reason)
            return True

    def retry(self, film_id: int) -> bool:
        """Restart a dead film: with sending if it has objects, else with detection. Return False if it is not dead."""
        with self._writing(durable=True):
            film = self._film("id = ? AND state = 'dead'", film_id)
            if film is None:
                return False
            unsent = self.database.number("SELECT count(*) FROM deliveries WHERE film = ? AND state <> 'sent'", film.id)
            self.database.execute(
                "UPDATE deliveries SET state = 'pending', attempts = 0, next_try = 0, waited = 0, since = ? "
                "WHERE film = ? AND state = 'dead'",
                *(time.time(), film.id),
            )
            self._restart(film.id, "detected" if unsent else "received")
            self._audit("retried", film.uid)
            return True

    def detect_again(self, film: Film) -> None:
        """Restart the detection on a film whose objects were lost. Objects that were sent are not sent again."""
        with self._writing(durable=True):
            if self._current(film):
                self._restart(film.id, "received")
                self._audit("objects lost", film.uid)

    def film(self, film_id: int) -> Film | None:
        """Return the film with this row number."""
        with self.lock:
            return self._film("id = ?", film_id)

    def film_of(self, key: str) -> Film | None:
        """Return the film with this key."""
        with self.lock:
            return self._film("key = ?", key)

    def rivals(self, film: Film) -> list[Film]:
        """Return films with the UID of this one that take precedence, since they may be other images.

        These are the detected ones, and those received earlier unless their headers say that they are not cephalograms.
        """
        before = "(state IN ('detected', 'done') OR (id < ? AND state IN ('received', 'dead')))"
        with self.lock:
            rows = self.database.rows(
                f"{FILM} WHERE uid = ? AND id <> ? AND {before} ORDER BY id", *(film.uid, film.id, film.id)
            )
        return [Film(*row) for row in rows]

    def knows(self, uid: str, content: str | None = None) -> bool:
        """Whether the node has taken a film with this UID: it waits, was finished, or is a dead letter.

        Args:
            uid: SOP Instance UID.
            content: hash of its PatientID and its stored pixel data; None matches every content.
        """
        with self.lock:
            return self._film(f"uid = ? AND state <> 'skipped' AND {_IS_CONTENT}", uid, content, content) is not None

    def has(self, uid: str) -> bool:
        """Whether a film with this UID was ever received."""
        with self.lock:
            return self._film("uid = ?", uid) is not None

    def knows_sender(self, sender: str) -> bool:
        """Whether a film from a sender with this AE title was ever received."""
        with self.lock:
            return bool(self.database.rows("SELECT 1 FROM films WHERE sender = ? LIMIT 1", sender))

    def films(self, *states: FilmState) -> Iterator[Film]:
        """Yield the films in some states. Only one page is in memory at a time."""
        marks, last = ", ".join("?" * len(states)), 0
        while True:
            with self.lock:
                rows = self.database.rows(
                    f"{FILM} WHERE state IN ({marks}) AND id > ? ORDER BY id LIMIT 500", *(*states, last)
                )
            if not rows:
                return
            yield from (Film(*row) for row in rows)
            last = rows[-1][0]

    def at_work(self) -> int:
        """Return the number of unfinished films."""
        with self.lock:
            return self.database.number("SELECT count(*) FROM films WHERE state IN ('received', 'detected')")

    def counts(self) -> dict[str, int]:
        """Return the number of films in each state."""
        with self.lock:
            return dict(self.database.rows("SELECT state, count(*) FROM films GROUP BY state"))

    def _objects_of(self, film_id: int) -> list[str]:
        """Return the UIDs of the objects of a film that a target may have."""
        rows = self.database.rows("SELECT DISTINCT uid FROM deliveries WHERE film = ? ORDER BY uid", film_id)
        return [str(uid) for (uid,) in rows]

    def _keep_answer(self, image_uid: str, item: MadeObject) -> None:
        if (answer := item.answer) is not None:
            replaces = None if answer.replaces is None else json.dumps(asdict(answer.replaces))
            self.database.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                *(
                    image_uid,
                    answer.frame,
                    answer.kind,
                    answer.answered,
                    json.dumps(asdict(answer.reference)),
                    replaces,
                ),
            )

    def _same_image(self, uid: str, key: str, content: str | None) -> Film | None:
        """Return the film with these bytes, or else with these pixels of this patient."""
        return self._film("uid = ? AND key = ?", uid, key) or self._film(
            f"uid = ? AND {_IS_CONTENT} ORDER BY id", uid, content, content
        )

    def _restart(self, film_id: int, state: FilmState) -> None:
        self.database.execute(
            "UPDATE films SET state = ?, generation = generation + 1, attempts = 0, reason = NULL, ended = NULL "
            "WHERE id = ?",
            *(state, film_id),
        )


def _model_text(model: ModelIdentity) -> str:
    return json.dumps([model.weights_sha256, model.recipe_sha256, model.software])


def _model_details(model: ModelIdentity) -> dict[str, str]:
    """Return a model's details for the audit."""
    return {"model": f"{model.name} {model.version}", **model.model_dump(exclude={"name", "version"})}
