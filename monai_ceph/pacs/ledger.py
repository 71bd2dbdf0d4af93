"""The ledger of a node: what became of every film, in one SQLite file that is written before anything is answered.

A film is ``received``, then ``detected``: its objects are on the disk. Then they are sent, each to each target, and the
film is ``done`` once all are there. It is ``dead`` with a reason if that cannot be, and ``skipped`` if its header says
that it is no cephalogram. Every change adds a row to ``audit``, in the same transaction; those rows cannot be changed.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from monai_ceph.pacs.ledger_rows import Delivery, Film, FilmState, MadeObject, Receipt
from monai_ceph.pacs.ledger_schema import SCHEMA, UPGRADES, VERSION
from monai_ceph.result import ModelIdentity
from monai_ceph.storage.database import Database

__all__ = ["NodeLedger"]

_FILM = "SELECT id, uid, key, generation, state, attempts, reason, content, decoded FROM films"
# nothing is known of the pixels of films that an older version received
_IS_CONTENT = "(? IS NULL OR content IS NULL OR content = ?)"
_DELIVERY = (
    "SELECT d.id, d.film, f.generation, d.kind, d.stem, d.uid, d.attempts, d.since, d.target "
    "FROM deliveries d JOIN films f ON f.id = d.film"
)


class NodeLedger:
    """The ledger, for all threads of the one process that holds the folder.

    Args:
        path: of the SQLite file; made if it is not there.

    Raises:
        CephError: if the file is something else.
        StoppedError: if it cannot be written, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        remedy = "move it away and start the node, which takes in the films of the folder queue again"
        self.database = Database(path, SCHEMA, VERSION, remedy, threads=True, upgrades=UPGRADES)
        self.lock = threading.RLock()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.database.close()

    def receive(
        self, uid: str, key: str, sender: str, size: int, model: ModelIdentity, content: str | None = None
    ) -> Receipt:
        """Take a film whose file is on the disk under its key. It is safe once this returns.

        The same bytes again are no new film while it is at work or after it was done by this model; a film that is dead
        or skipped begins anew. Other bytes under the same UID take the place of the old ones if they are the same
        image. Otherwise they are a film of their own, which :meth:`rivals` has something to say about.

        Args:
            uid: SOP Instance UID.
            key: name of its files.
            sender: who it came from.
            size: in bytes.
            model: what will work on it.
            content: hash of its PatientID and its stored pixel data; None is the content of every film.
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
            self.database.execute("DELETE FROM deliveries WHERE film = ?", known.id)
            self._begin_anew(known.id, "received")
            self.database.execute(
                "UPDATE films SET key = ?, sender = ?, size = ?, received = ?, content = ? WHERE id = ?",
                *(key, sender, size, time.time(), content, known.id),
            )
            self._audit("received anew", uid, sender=sender, bytes=size, key=key)
            return Receipt(new=True, replaced=None if same else known.key)

    def waiting(self, count: int, without: Sequence[int] = ()) -> list[Film]:
        """Return the oldest films that nobody has worked on; of those with one UID, the first."""
        marks = ", ".join("?" * len(without))
        earlier = "SELECT 1 FROM films e WHERE e.uid = films.uid AND e.id < films.id AND e.state = 'received'"
        with self.lock:
            rows = self.database.rows(
                f"{_FILM} WHERE state = 'received' AND id NOT IN ({marks}) AND NOT EXISTS ({earlier}) "
                "ORDER BY received, id LIMIT ?",
                *(*without, count),
            )
        return [Film(*row) for row in rows]

    def started(self, film: Film) -> None:
        """Note that a process begins to work on a film, in case that it dies of it."""
        with self._writing():
            self.database.execute("UPDATE films SET attempts = attempts + 1 WHERE id = ?", film.id)

    def not_started(self, film: Film) -> None:
        """Take :meth:`started` back: the work ended in order, without a result."""
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
        """Note that the objects of a film are on the disk.

        Args:
            film: the film.
            outcome: ``done`` or ``uncertain``.
            made: targets, and what each is to get.
            model: what made them.
            notes: warnings of the detection.
            replaces: a film that turned out to be the same image; its row goes.

        Returns:
            False if the film began anew since, so that this result no longer counts.
        """
        with self._writing(durable=True):
            if not self._current(film):
                return False
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
            details = {"objects": sorted({item.uid for _, item in made}), "notes": list(notes), **_model_details(model)}
            self._audit("detected", film.uid, outcome=outcome, **details)
            return True

    def pixels_read(self, film: Film, decoded: str) -> None:
        """Note the hashes of the pixels of a film's frames, and of its PatientID."""
        with self._writing():
            if self._current(film):
                self.database.execute("UPDATE films SET decoded = ? WHERE id = ?", decoded, film.id)

    def end(self, film: Film, state: FilmState, reason: str) -> bool:
        """Note that a film is ``dead`` or ``skipped``; False if it began anew since."""
        with self._writing(durable=True):
            if not self._current(film):
                return False
            self._end(film.id, film.uid, state, reason)
            return True

    def retry(self, film_id: int) -> bool:
        """Begin a dead film anew: sending if its objects were made, else detecting. False if it is not dead."""
        with self._writing(durable=True):
            film = self._film("id = ? AND state = 'dead'", film_id)
            if film is None:
                return False
            unsent = self.database.number("SELECT count(*) FROM deliveries WHERE film = ? AND state <> 'sent'", film.id)
            self.database.execute(
                "UPDATE deliveries SET state = 'pending', attempts = 0, next_try = 0, since = ? "
                "WHERE film = ? AND state = 'dead'",
                *(time.time(), film.id),
            )
            self._begin_anew(film.id, "detected" if unsent else "received")
            self._audit("retried", film.uid)
            return True

    def detect_again(self, film: Film) -> None:
        """Begin a film anew whose objects are no longer on the disk; what was sent stays sent."""
        with self._writing(durable=True):
            if self._current(film):
                self._begin_anew(film.id, "received")
                self._audit("objects lost", film.uid)

    def due(self, target: str, count: int, longest_s: float = math.inf) -> list[Delivery]:
        """Return what may be sent to a target now, the oldest first.

        What waits for more than the longest pause does so because the clock was set back, and is due.
        """
        now = time.time()
        with self.lock:
            rows = self.database.rows(
                f"{_DELIVERY} WHERE d.target = ? AND d.state = 'pending' AND f.state = 'detected' "
                "AND (d.next_try <= ? OR d.next_try > ?) ORDER BY d.next_try, d.id LIMIT ?",
                *(target, now, now + longest_s, count),
            )
        return [Delivery(*row) for row in rows]

    def sent(self, delivery: Delivery, answer: str) -> None:
        """Note that a target took an object."""
        with self._writing():
            self._settle(delivery, "sent", answer)

    def postpone(self, delivery: Delivery, reason: str, seconds: float) -> None:
        """Note that a target did not take an object, and when to try again."""
        with self._writing():
            self.database.execute(
                "UPDATE deliveries SET attempts = attempts + 1, reason = ?, next_try = ? WHERE id = ?",
                *(reason, time.time() + seconds, delivery.id),
            )

    def give_up(self, delivery: Delivery, reason: str) -> None:
        """Note that an object will not be sent any more."""
        with self._writing(durable=True):
            self._settle(delivery, "dead", reason)

    def give_up_targets(self, names: Sequence[str]) -> None:
        """Give up what is to go to targets that are no longer in the configuration."""
        with self.lock:
            rows = self.database.rows(f"{_DELIVERY} WHERE d.state = 'pending'")
        for row in rows:
            delivery = Delivery(*row)
            if delivery.target not in names:
                self.give_up(delivery, "the target is no longer in the configuration")

    def film(self, film_id: int) -> Film | None:
        """Return a film by its row."""
        with self.lock:
            return self._film("id = ?", film_id)

    def film_of(self, key: str) -> Film | None:
        """Return the film whose files have this name."""
        with self.lock:
            return self._film("key = ?", key)

    def rivals(self, film: Film) -> list[Film]:
        """Return other films with the UID of this one, which may be other images, and go before it.

        These are films that were detected, and films that came earlier unless their headers say that they are no
        cephalograms.
        """
        before = "(state IN ('detected', 'done') OR (id < ? AND state IN ('received', 'dead')))"
        with self.lock:
            rows = self.database.rows(
                f"{_FILM} WHERE uid = ? AND id <> ? AND {before} ORDER BY id", *(film.uid, film.id, film.id)
            )
        return [Film(*row) for row in rows]

    def knows(self, uid: str, content: str | None = None) -> bool:
        """Whether a film with this UID was taken over: it waits here, was answered, or is a dead letter.

        Args:
            uid: SOP Instance UID.
            content: hash of the PatientID and the stored pixel data that it has; None: of any film.
        """
        with self.lock:
            return self._film(f"uid = ? AND state <> 'skipped' AND {_IS_CONTENT}", uid, content, content) is not None

    def has(self, uid: str) -> bool:
        """Whether a film with this UID was ever received, whatever became of it."""
        with self.lock:
            return self._film("uid = ?", uid) is not None

    def cursor(self, name: str) -> str | None:
        """Return how far a source was asked."""
        with self.lock:
            rows = self.database.rows("SELECT value FROM cursors WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def set_cursor(self, name: str, value: str) -> None:
        """Note how far a source was asked."""
        with self._writing():
            self.database.execute("INSERT OR REPLACE INTO cursors (name, value) VALUES (?, ?)", name, value)

    def films(self, *states: FilmState) -> Iterator[Film]:
        """Yield the films of some states, a page in memory at a time."""
        marks, last = ", ".join("?" * len(states)), 0
        while True:
            with self.lock:
                rows = self.database.rows(
                    f"{_FILM} WHERE state IN ({marks}) AND id > ? ORDER BY id LIMIT 500", *(*states, last)
                )
            if not rows:
                return
            yield from (Film(*row) for row in rows)
            last = rows[-1][0]

    def at_work(self) -> int:
        """Return how many films were received and have not ended."""
        with self.lock:
            return self.database.number("SELECT count(*) FROM films WHERE state IN ('received', 'detected')")

    def counts(self) -> dict[str, int]:
        """Return how many films there are in each state."""
        with self.lock:
            return dict(self.database.rows("SELECT state, count(*) FROM films GROUP BY state"))

    def audit(self, event: str, uid: str | None = None, **details: object) -> None:
        """Add a row of its own to the audit."""
        with self._writing():
            self._audit(event, uid, **details)

    def audit_rows(self) -> Iterator[dict[str, object]]:
        """Yield the audit, the oldest first."""
        last = 0
        while True:
            with self.lock:
                rows = self.database.rows(
                    "SELECT id, time, event, uid, details FROM audit WHERE id > ? ORDER BY id LIMIT 500", last
                )
            if not rows:
                return
            for number, moment, event, uid, details in rows:
                # as in the log
                said = datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
                yield {"id": number, "time": said, "event": event, "uid": uid, **json.loads(details)}
            last = rows[-1][0]

    @contextmanager
    def _writing(self, durable: bool = False) -> Iterator[None]:
        with self.lock, self.database.writing(durable):
            yield

    def _same_image(self, uid: str, key: str, content: str | None) -> Film | None:
        """Return the film that has these bytes, or else these pixels of this patient."""
        return self._film("uid = ? AND key = ?", uid, key) or self._film(
            f"uid = ? AND {_IS_CONTENT} ORDER BY id", uid, content, content
        )

    def _film(self, condition: str, *values: object) -> Film | None:
        rows = self.database.rows(f"{_FILM} WHERE {condition}", *values)
        return Film(*rows[0]) if rows else None

    def _current(self, film: Film) -> bool:
        now = self._film("id = ?", film.id)
        return now is not None and now.generation == film.generation

    def _begin_anew(self, film_id: int, state: FilmState) -> None:
        self.database.execute(
            "UPDATE films SET state = ?, generation = generation + 1, attempts = 0, reason = NULL, ended = NULL "
            "WHERE id = ?",
            *(state, film_id),
        )

    def _end(self, film_id: int, uid: str, state: FilmState, reason: str | None) -> None:
        self.database.execute(
            "UPDATE films SET state = ?, reason = ?, attempts = 0, ended = ? WHERE id = ?",
            *(state, reason, time.time(), film_id),
        )
        self._audit(state, uid, **({"reason": reason} if reason else {}))

    def _settle(self, delivery: Delivery, state: str, reason: str) -> None:
        """Note how a delivery ended; the last one of a film ends the film."""
        film = self._film("id = ?", delivery.film)
        if film is None or film.generation != delivery.generation:
            return
        self.database.execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, reason = ? WHERE id = ?",
            *(state, reason, delivery.id),
        )
        details = {"object": delivery.uid, "kind": delivery.kind, "target": delivery.target, "answer": reason}
        self._audit("sent" if state == "sent" else "not sent", film.uid, **details)
        rows = self.database.rows("SELECT state, target, reason FROM deliveries WHERE film = ?", film.id)
        if any(each == "pending" for each, _, _ in rows):
            return
        lost = [f"{target}: {why}" for each, target, why in rows if each == "dead"]
        self._end(film.id, film.uid, "dead" if lost else "done", "; ".join(dict.fromkeys(lost)) or None)

    def _audit(self, event: str, uid: str | None, **details: object) -> None:
        self.database.execute(
            "INSERT INTO audit (time, event, uid, details) VALUES (?, ?, ?, ?)",
            *(time.time(), event, uid, json.dumps(details, sort_keys=True)),
        )


def _model_text(model: ModelIdentity) -> str:
    return json.dumps([model.weights_sha256, model.recipe_sha256, model.software])


def _model_details(model: ModelIdentity) -> dict[str, str]:
    """Return what the audit holds of a model."""
    return {"model": f"{model.name} {model.version}", **model.model_dump(exclude={"name", "version"})}
