"""The ledger's part about sending: which object goes to which target, and what became of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from monai_ceph.pacs.ledger_file import LedgerFile
from monai_ceph.pacs.ledger_rows import Delivery, Film, FilmState

__all__ = ["FILM", "DeliveryLedger"]

FILM = "SELECT id, uid, key, generation, state, attempts, reason, content, image_sha256, pixels_sha256 FROM films"
_DELIVERY = (
    "SELECT d.id, d.film, f.generation, d.kind, d.stem, d.uid, d.attempts, d.waited, d.target "
    "FROM deliveries d JOIN films f ON f.id = d.film"
)
_MOST_ASKED = 1000


class DeliveryLedger(LedgerFile):
    """The deliveries. One is *pending*, then *sent* or *dead*.

    A target that must commit itself to what it stored (PS3.4 J) has a row in ``asked_commitments`` for each object
    that it took, until its report arrives. The object is pending meanwhile, but not due.
    """

    def due(self, target: str, count: int, longest_s: float = math.inf) -> list[Delivery]:
        """Return the objects to send to a target now, the oldest first.

        A pause above the maximum means that the clock was set back; such an object is due.
        """
        now = time.time()
        with self.lock:
            rows = self.database.rows(
                f"{_DELIVERY} WHERE d.target = ? AND d.state = 'pending' AND f.state = 'detected' "
                "AND d.id NOT IN (SELECT delivery FROM asked_commitments) "
                "AND (d.next_try <= ? OR d.next_try > ?) ORDER BY d.next_try, d.id LIMIT ?",
                *(target, now, now + longest_s, count),
            )
        return [Delivery(*row) for row in rows]

    def has_waited(self, target: str, seconds: float) -> None:
        """Record that the objects for a target have waited so much longer."""
        with self.lock:
            if not self.database.rows(
                "SELECT 1 FROM deliveries WHERE target = ? AND state = 'pending' LIMIT 1", target
            ):
                return
        with self._writing():
            self.database.execute(
                "UPDATE deliveries SET waited = waited + ? WHERE target = ? AND state = 'pending'", seconds, target
            )

    def sent(self, delivery: Delivery, answer: str) -> None:
        """Record that a target took an object."""
        with self._writing():
            self._settle(delivery, "sent", answer)

    def postpone(self, delivery: Delivery, reason: str, seconds: float) -> None:
        """Record that a target did not take an object, and when to try again."""
        with self._writing():
            self._postpone(delivery, reason, seconds)

    def give_up(self, delivery: Delivery, reason: str) -> None:
        """Record that an object will not be sent."""
        with self._writing(durable=True):
            self._settle(delivery, "dead", reason)

    def give_up_targets(self, names: Sequence[str]) -> None:
        """Give up the objects for targets that are no longer in the configuration."""
        with self.lock:
            rows = self.database.rows(f"{_DELIVERY} WHERE d.state = 'pending'")
        for row in rows:
            delivery = Delivery(*row)
            if delivery.target not in names:
                self.give_up(delivery, "the target is no longer in the configuration")

    def stored(self, delivery: Delivery, answer: str) -> None:
        """Record that a target took an object, which counts as sent once the target commits itself to it."""
        with self._writing():
            film = self._film("id = ?", delivery.film)
            if film is not None and film.generation == delivery.generation:
                self.database.execute(
                    "INSERT OR REPLACE INTO asked_commitments (delivery, answer) VALUES (?, ?)", delivery.id, answer
                )

    def uncommitted(self, target: str, transaction_uid: str | None) -> list[Delivery]:
        """Return the objects that a target took and was asked about in a transaction; None: not asked about yet."""
        with self.lock:
            rows = self.database.rows(
                f"{_DELIVERY} JOIN asked_commitments a ON a.delivery = d.id "
                "WHERE d.target = ? AND a.transaction_uid IS ? ORDER BY d.id LIMIT ?",
                *(target, transaction_uid, _MOST_ASKED),
            )
        return [Delivery(*row) for row in rows]

    def transactions(self, target: str) -> list[str]:
        """Return the transactions for which a target's report has not arrived."""
        with self.lock:
            rows = self.database.rows(
                "SELECT DISTINCT a.transaction_uid FROM asked_commitments a JOIN deliveries d ON d.id = a.delivery "
                "WHERE d.target = ? AND a.transaction_uid IS NOT NULL",
                target,
            )
        return [str(uid) for (uid,) in rows]

    def asked(self, transaction_uid: str, deliveries: Sequence[Delivery]) -> None:
        """Record that a target is being asked to commit itself to objects."""
        with self._writing(durable=True):
            for delivery in deliveries:
                self.database.execute(
                    "UPDATE asked_commitments SET transaction_uid = ? WHERE delivery = ?", transaction_uid, delivery.id
                )

    def committed(self, transaction_uid: str, uids: Sequence[str]) -> list[Delivery]:
        """Record that a target committed itself to objects, by their UIDs. Return those that it was asked about."""
        with self._writing(durable=True):
            found = self._in_transaction(transaction_uid, uids)
            for delivery, answer in found:
                self._settle(delivery, "sent", f"{answer}, committed")
        return [delivery for delivery, _ in found]

    def not_committed(self, transaction_uid: str | None, delivery: Delivery, reason: str, seconds: float) -> bool:
        """Record that a target does not commit itself to an object, which is sent again after a pause.

        Return False if it was not asked in this transaction (any more).
        """
        with self._writing():
            rows = self.database.rows(
                "SELECT 1 FROM asked_commitments WHERE delivery = ? AND transaction_uid IS ?",
                *(delivery.id, transaction_uid),
            )
            if rows:
                self.database.execute("DELETE FROM asked_commitments WHERE delivery = ?", delivery.id)
                self._postpone(delivery, reason, seconds)
        return bool(rows)

    def asked_about(self, transaction_uid: str, uids: Sequence[str]) -> list[Delivery]:
        """Return the objects of a transaction with these UIDs."""
        with self.lock:
            return [delivery for delivery, _ in self._in_transaction(transaction_uid, uids)]

    def _in_transaction(self, transaction_uid: str, uids: Sequence[str]) -> list[tuple[Delivery, str]]:
        rows = self.database.rows(
            _DELIVERY.replace(" FROM", ", a.answer FROM", 1)
            + " JOIN asked_commitments a ON a.delivery = d.id WHERE a.transaction_uid = ?",
            transaction_uid,
        )
        wanted = set(uids)
        return [(Delivery(*row[:-1]), str(row[-1])) for row in rows if row[5] in wanted]

    def _settle(self, delivery: Delivery, state: str, reason: str) -> None:
        """Record how a delivery ended. The last one of a film finishes the film."""
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

    def _postpone(self, delivery: Delivery, reason: str, seconds: float) -> None:
        self.database.execute(
            "UPDATE deliveries SET attempts = attempts + 1, reason = ?, next_try = ? WHERE id = ?",
            *(reason, time.time() + seconds, delivery.id),
        )

    def _end(self, film_id: int, uid: str, state: FilmState, reason: str | None) -> None:
        self.database.execute(
            "UPDATE films SET state = ?, reason = ?, attempts = 0, ended = ? WHERE id = ?",
            *(state, reason, time.time(), film_id),
        )
        self._audit(state, uid, **({"reason": reason} if reason else {}))

    def _film(self, condition: str, *values: object) -> Film | None:
        rows = self.database.rows(f"{FILM} WHERE {condition}", *values)
        return Film(*rows[0]) if rows else None

    def _current(self, film: Film) -> bool:
        now = self._film("id = ?", film.id)
        return now is not None and now.generation == film.generation
