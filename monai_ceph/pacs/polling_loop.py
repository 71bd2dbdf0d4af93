"""An archive is asked for new films again and again, in a thread of its own. A cursor in the ledger outlives the node.

The cursor is a study date: what is older was asked for. Each round asks for the dates from a few days before it, since
films come late, and fetches what the ledger does not know; never for dates before the first one.
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
    """Asks one archive.

    Args:
        source: the archive.
        config: how often, and from when on.
        ledger: holds the cursor, and knows what was received.
        selection: which images are cephalograms.
        deliver: takes what a DICOMweb archive sends.
        full: why no further film can be taken, or None.
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
        """Rounds that failed since the last one that did not."""
        self.cause: str | None = None
        """Why the last one failed."""

    @property
    def name(self) -> str:
        """The archive's name."""
        return self._source.name

    def run(self, ended: threading.Event) -> None:
        """Ask until the node ends."""
        assert self._config.every_s is not None
        while not ended.is_set():
            start = time.monotonic()
            try:
                self._round(ended)
            except (StoppedError, OSError) as error:  # a full disk, which somebody may empty
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
                    raise CephError(f"no room for more: {cause}")
                try:
                    self._source.fetch(found, self._deliver)
                    fetched += 1
                except Exception as error:  # whatever an archive sends
                    causes.append(cause_of(error))
                    log("not fetched", warning=True, uid=found.uid, source=self._source.name, cause=causes[-1])
        except Exception as error:
            causes.append(cause_of(error))
            log("source failed", warning=True, source=self._source.name, cause=causes[-1])
        if fetched:
            log("fetched", source=self._source.name, films=fetched)
        self.failures, self.cause = (self.failures + 1, causes[-1]) if causes else (0, None)
        if not causes:
            self._ledger.set_cursor(self._source.name, today.isoformat())

    def _since(self, today: date) -> date:
        """Return the first study date to ask for."""
        cursor = self._ledger.cursor(self._source.name)
        # no source has a blank in its name
        key = f"{self._source.name} first"
        if cursor is None and self._ledger.cursor(key) is None:
            self._ledger.set_cursor(key, today.isoformat())
        first_start = self._ledger.cursor(key)
        first = self._config.since or (date.fromisoformat(first_start) if first_start else None)
        if cursor is None:
            return first or today
        late = date.fromisoformat(cursor) - timedelta(self._config.look_back_days)
        return max(first, late) if first else late
