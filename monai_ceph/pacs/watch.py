"""What is wrong with a node at the moment, for the page, the metrics and whoever asks whether it is ready.

A *problem* keeps films out. A *warning* does not, but somebody should look: a target or an archive that fails or
refuses, or a clock that was wrong. Each ends when its cause ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.open_files import open_files
from monai_ceph.pacs.overview import refused
from monai_ceph.pacs.polling_loop import PollingLoop
from monai_ceph.pacs.proposal_loop import ProfileStanding, ProposalLoop
from monai_ceph.pacs.receiver import FilmIntake, Receiver

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Troubled", "Watch", "Watched"]

_NEARLY = 0.9


class Troubled(Protocol):
    """A part of the node that writes to the disk.

    Attributes:
        trouble: why it cannot, None if it can.
    """

    trouble: str | None


class Watched(Protocol):
    """An optional part of the node."""

    def warnings(self) -> Mapping[str, str]:
        """Return what somebody should look at, and its cause."""

    def metrics(self) -> Iterator[Metric]:
        """Yield its metrics."""


class Watch:
    """Asks the parts of the node.

    Args:
        ledger: of the node.
        intake: takes the films.
        receiver: the DIMSE port.
        deliveries: the targets.
        polls: the archives that are queried.
        parts: what else writes to the disk.
        ending: whether the node is shutting down.
        proposals: checks the reviews that people sign; None if the node proposes no profiles.
        more: what else tells how it is.
    """

    def __init__(
        self,
        ledger: NodeLedger,
        intake: FilmIntake,
        receiver: Receiver,
        deliveries: Sequence[DeliveryLoop],
        polls: Sequence[PollingLoop],
        parts: Sequence[Troubled],
        ending: Callable[[], bool],
        proposals: ProposalLoop | None = None,
        more: Sequence[Watched] = (),
    ) -> None:
        self.more = more
        self.receiver, self._ledger, self._intake = receiver, ledger, intake
        self._deliveries, self._polls, self._ending = deliveries, polls, ending
        self._proposals = proposals
        self._parts = [*parts, receiver, *deliveries]

    def problems(self) -> list[str]:
        """Return why films are refused."""
        found = ["the node is shutting down"] if self._ending() else []
        full = self._intake.full()
        found += [full] if full is not None else []
        found += self.receiver.problems()
        troubles = [f"disk or ledger cannot be written: {part.trouble}" for part in self._parts if part.trouble]
        files = open_files()
        if files is not None and files[0] > _NEARLY * files[1]:
            found.append(f"{files[0]} files are open, and the limit is {files[1]}")
        return [*found, *dict.fromkeys(troubles)]

    def warnings(self) -> dict[str, str]:
        """Return what somebody should look at although films are taken, and the cause of each."""
        refusals = refused(self._ledger)
        found = self.receiver.warnings()
        for delivery in self._deliveries:
            state = delivery.state
            if state.failures:
                found[f"target {delivery.name} fails"] = f"{state.cause} ({state.failures} times)"
            if delivery.name in refusals:
                count, cause = refusals[delivery.name]
                found[f"target {delivery.name} refuses objects"] = f"{cause} ({count} objects)"
        for poll in self._polls:
            if poll.failures:
                found[f"source {poll.name} fails"] = f"{poll.cause} ({poll.failures} times)"
            if poll.clock:
                found[f"source {poll.name} was asked with a wrong clock"] = poll.clock
        if self._proposals is not None and self._proposals.cause:
            found["no profile can be proposed"] = self._proposals.cause
        if (standing := self.standing()) is not None and standing.changed:
            found["the profile no longer fits"] = standing.fits or ""
        for each in self.more:
            found.update(each.warnings())
        return found

    def standing(self) -> ProfileStanding | None:
        """Return what signed films say of profiles, None if the node proposes none."""
        return None if self._proposals is None else self._proposals.standing

    def days_behind(self) -> dict[str, int]:
        """Return how many days ago each archive was last asked with success; negative: its date is in the future."""
        dates = {poll.name: poll.cursor() for poll in self._polls}
        return {name: (date.today() - cursor).days for name, cursor in dates.items() if cursor is not None}
