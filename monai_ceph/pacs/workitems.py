"""The work items that a node has claimed, in its ledger, and what becomes of their films there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from monai_ceph.archives.query import Found
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.reports.header_identity import ObjectReference

__all__ = ["Claim", "Claims"]

Stage = Literal["claiming", "claimed", "working", "finishing", "ended"]


@dataclass(frozen=True)
class Claim:
    """A work item.

    Attributes:
        uid: SOP Instance UID of the unified procedure step.
        transaction: Transaction UID of the claim.
        stage: ``claiming`` until the server's answer is known, ``claimed``, ``working`` once the films were fetched,
            ``finishing``, and ``ended``, also if somebody else has it.
        films: study, series and image UIDs.
        begun: when it was claimed, as a DICOM date time.
    """

    uid: str
    transaction: str
    stage: Stage = "claiming"
    films: tuple[tuple[str, str, str], ...] = ()
    begun: str = ""

    @property
    def images(self) -> list[Found]:
        """The films as images of an archive."""
        return [Found(*each) for each in self.films]


class Claims:
    """The claims of one worklist. Each change is on the disk before it returns.

    Args:
        ledger: of the node.
        name: of the worklist.
    """

    def __init__(self, ledger: NodeLedger, name: str) -> None:
        self._ledger, self._prefix = ledger, f"workitem {name} "

    def get(self, uid: str) -> Claim | None:
        """Return the claim of a work item, None if it was never claimed."""
        text = self._ledger.cursor(self._prefix + uid)
        return None if text is None else _read(text)

    def put(self, claim: Claim, **changes: object) -> Claim:
        """Keep a claim, with changes. Return it."""
        claim = replace(claim, **changes)  # type: ignore[arg-type]
        self._ledger.set_cursor(self._prefix + claim.uid, json.dumps(asdict(claim)))
        return claim

    def open(self) -> list[Claim]:
        """Return the claims that have not ended."""
        with self._ledger.lock:
            rows = self._ledger.database.rows(
                "SELECT value FROM cursors WHERE substr(name, 1, ?) = ?", len(self._prefix), self._prefix
            )
        return [claim for (text,) in rows if (claim := _read(text)).stage != "ended"]

    def outcome(self, image: str) -> tuple[str, str]:
        """Return the state of a film, empty before it is in the ledger, and the reason if it has no result."""
        with self._ledger.lock:
            rows = self._ledger.database.rows(
                "SELECT state, reason FROM films WHERE uid = ? ORDER BY id DESC LIMIT 1", image
            )
        return (str(rows[0][0]), str(rows[0][1] or "")) if rows else ("", "")

    def products(self, image: str) -> list[ObjectReference]:
        """Return the DICOM objects of a film that targets took."""
        with self._ledger.lock:
            sent = self._ledger.database.rows(
                "SELECT DISTINCT d.uid FROM deliveries d JOIN films f ON f.id = d.film "
                "WHERE f.uid = ? AND d.state = 'sent' AND d.kind <> 'fhir'",
                image,
            )
            made = self._ledger.database.rows("SELECT reference FROM answers WHERE image_uid = ?", image)
        references = [ObjectReference(**json.loads(text)) for (text,) in made]
        taken = {uid for (uid,) in sent}
        return [each for each in references if each.uid in taken]


def _read(text: str) -> Claim:
    values = json.loads(text)
    values["films"] = tuple(tuple(each) for each in values["films"])
    return Claim(**values)
