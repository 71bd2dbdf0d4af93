"""Queries an archive for new films at intervals, in a thread. A cursor in the ledger survives a restart.

The cursor is a study date: earlier dates were queried. Each round starts a few days before it, since some films arrive
late, but never before the first date, and fetches the films that the ledger does not have.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, timedelta

from pydicom import Dataset

from monai_ceph.archives.config import DicomSource, DicomWebSource
from monai_ceph.archives.query import Query, Source, cause_of
from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log

__all__ = ["PollingLoop"]


class PollingLoop:
    """Queries one archive.

    Args:
        source: the archive.
        config: the interval, and the first date.
        ledger: the cursor, and the received films.
        selection: which images are cephalograms.
        deliver: takes the images from a DICOMweb archive.
        full: returns why no further film can be received, or None.
    """

    def __init__(
        self,
        source: Source,
        config: DicomSource | DicomWebSource,
        ledger: NodeLedger,
        selection: Selection,
        deliver: Callable[[Dataset], None],
        full: Callable[[], str | None],
    ) -> None:
        self._source, self._config, self._ledger, self._selection = source, config, ledger, selection
        self._deliver, self._full = deliver, full
        self.wake = threading.Event()
        self.failures = 0
        """Rounds that failed since the last good one."""
        self.cause: str | None = None
        """Why the last round failed."""
        self.clock: str | None = None
        """What was wrong with the date up to which the archive was asked; None after the second good round."""
        self._told = False

    @property
    def name(self) -> str:
        """The archive's name."""
        return self._source.name

    def run(self, ended: threading.Event) -> None:
        """Query until the node ends."""
        assert self._config.every_s is not None
        while not ended.is_set():
            start = time.monotonic()
            try:
                self._round(ended)
            except (StoppedError, OSError) as error:  # such as a full disk
                self.failures, self.cause = self.failures + 1, str(error)
                log("disk or ledger cannot be written", warning=True, cause=self.cause)
            self.wake.wait(max(0.0, self._config.every_s - (time.monotonic() - start)))

    def _round(self, ended: threading.Event) -> None:
        today = date.today()
        query = Query(date=f"{self._since(today):%Y%m%d}-")
        fetched, causes = 0, []
        try:
            for found in self._source.find(query, self._selection):
                if ended.is_set():
                    return
                if self._ledger.has(found.uid):
                    continue
                if (cause := self._full()) is not None:
                    raise CephError(f"stopped early: {cause}")
                try:
                    self._source.fetch(found, self._deliver)
                    fetched += 1
                except Exception as error:  # an archive can send anything
                    causes.append(cause_of(error))
                    log("not fetched", warning=True, uid=found.uid, source=self._source.name, cause=causes[-1])
        except Exception as error:
            causes.append(cause_of(error))
            log("source failed", warning=True, source=self._source.name, cause=causes[-1])
        if fetched:
            log("fetched", source=self._source.name, films=fetched)
        self.failures, self.cause = (self.failures + 1, causes[-1]) if causes else (0, None)
        if not causes:
            if self._told:
                self.clock = None
            self._told = self.clock is not None
            self._ledger.set_cursor(self._source.name, today.isoformat())

    def cursor(self) -> date | None:
        """Return the study date up to which the archive was asked, None before the first good round."""
        text = self._ledger.cursor(self._source.name)
        return None if text is None else date.fromisoformat(text)

    def _since(self, today: date) -> date:
        """Return the first study date to query."""
        cursor = self.cursor()
        # names of sources contain no blank
        key = f"{self._source.name} first"
        if cursor is None and self._ledger.cursor(key) is None:
            self._ledger.set_cursor(key, today.isoformat())
        first_start = self._ledger.cursor(key)
        begun = date.fromisoformat(first_start) if first_start else None
        if any(each is not None and each > today for each in (begun, cursor)):
            return self._corrected(today, begun, cursor)
        first = self._config.since or begun
        if cursor is None:
            return first or today
        late = cursor - timedelta(self._config.look_back_days)
        return max(first, late) if first else late

    def _corrected(self, today: date, begun: date | None, cursor: date | None) -> date:
        """Correct dates in the future: the clock ran ahead, and nothing is known of the days since the start.

        The archive is asked from the first date on; the films that the node has are not fetched again.
        """
        past = [each for each in (self._config.since, begun) if each is not None and each <= today]
        start = past[0] if past else today - timedelta(self._config.look_back_days)
        wrong = max(each for each in (begun, cursor) if each is not None)
        self.clock = (
            f"it was queried up to {wrong}, which is in the future: the clock was wrong. "
            f"It is queried again from {start}"
        )
        self._told = False
        log("clock corrected", warning=True, source=self._source.name, cause=self.clock)
        self._ledger.set_cursor(f"{self._source.name} first", start.isoformat())
        if cursor is not None:
            self._ledger.set_cursor(self._source.name, start.isoformat())
        return start
