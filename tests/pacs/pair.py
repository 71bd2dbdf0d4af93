"""Two nodes on one folder: real processes, one of which works and one stands by."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from cutter import Cutter
from nodes import RunningNode, free_port, listens, wait_until

from monai_ceph.pacs.folder import LEDGER

_LOST_TURN = 3


class Member(RunningNode):
    """One of two nodes."""

    def start(self) -> None:
        """Start it. Whether it works or stands by, others decide."""
        self.spawn()

    def works(self) -> bool:
        """Whether it takes films: its port is open, and it runs."""
        return self.process is not None and self.process.poll() is None and listens(self.port)

    def stop_still(self) -> None:
        """Pause it, but not during a transaction: nobody could take over until it continues."""
        assert self.process is not None
        while True:
            self.process.send_signal(signal.SIGSTOP)
            wait_until(self._stands)
            with closing(sqlite3.connect(self.folder / LEDGER, timeout=0)) as ledger:
                try:
                    ledger.execute("BEGIN EXCLUSIVE")
                    ledger.execute("ROLLBACK")
                    return
                except sqlite3.OperationalError:
                    self.process.send_signal(signal.SIGCONT)
            time.sleep(0.01)

    def go_on(self) -> None:
        """End the pause."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)

    def _stands(self) -> bool:
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Pair:
    """Two nodes that differ in name and ports, behind one port that leads to the one that works.

    Args:
        folder: for both.
        values: the configuration of the first.
        lease_s: seconds without a beat after which one takes over from the other.
        seconds: that a film takes.
    """

    def __init__(self, folder: Path, values: dict[str, Any], lease_s: float = 3, seconds: float = 0) -> None:
        self.members: list[Member] = []
        for name in ("a", "b"):
            place = folder / name
            place.mkdir()
            own: dict[str, Any] = {"port": free_port(), "standby": {"lease_s": lease_s, "name": name}}
            if "http" in values:
                own["http"] = {**values["http"], "port": free_port()}
            self.members.append(Member(place, {**values, **own}, seconds=seconds))
        self.folder = self.members[0].folder
        self._lease_s = lease_s
        # whoever listens works: one that stands by does not
        self._balancer = Cutter([each.port for each in self.members], random.Random(0), values["port"])
        self.port = self._balancer.port

    @property
    def http_port(self) -> int:
        """Of the one that works."""
        return self.working().http_port

    def start(self) -> None:
        """Start what does not run, and wait until one works."""
        self.restart()
        self.working()

    def kill(self) -> None:
        """Kill the one that works."""
        self.working().kill()

    def end(self) -> None:
        """Kill both."""
        for each in self.members:
            if each.process is not None and each.process.poll() is None:
                each.go_on()
                each.kill()
        self._balancer.close()

    def stop(self) -> int:
        """End both in order, first the one that stands by. Return the sum of their exit codes."""
        working = self.working()
        return self.other(working).stop() + working.stop()

    def pause(self) -> None:
        """Pause the one that works until the other one does, and a moment longer; then let it go on, and start it."""
        one = self.working()
        one.stop_still()
        wait_until(self.other(one).works, 120)
        time.sleep(self._lease_s)
        one.go_on()
        assert one.process is not None
        assert one.process.wait(timeout=60) == _LOST_TURN
        one.start()

    def restart(self) -> None:
        """Start what has ended, as a service manager does: a node may also lose its turn on a machine that is busy."""
        for each in self.members:
            if each.process is None or each.process.poll() is not None:
                each.start()

    def working(self, seconds: float = 120) -> Member:
        """Wait for the one that works."""

        def one() -> Member | None:
            self.restart()
            return next((each for each in self.members if each.works()), None)

        found: Member = wait_until(one, seconds)
        return found

    def other(self, one: Member) -> Member:
        """Return the other one."""
        return next(each for each in self.members if each is not one)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what both said of an event."""
        return [event for each in self.members if each.log.exists() for event in each.events(name)]


@contextmanager
def pair(folder: Path, values: dict[str, Any], lease_s: float = 3, seconds: float = 0) -> Iterator[Pair]:
    """Run two nodes, and kill them in the end."""
    both = Pair(folder, values, lease_s, seconds)
    try:
        both.start()
        yield both
    finally:
        both.end()
