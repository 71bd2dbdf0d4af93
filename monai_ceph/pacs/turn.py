"""Two nodes on one shared folder: one has the turn and works, the others stand by.

The ledger records whose turn it is, in the same file as the films: a transaction of a node whose turn is over fails,
so a node that was paused can do no harm when it continues. A *beat* file, which the working node changes all the time,
tells the others that it lives. They check whether it changes by their own monotonic clocks, so no clocks need to agree.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import NodeConfig, StandbyConfig
from monai_ceph.pacs.folder import LEDGER
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log

__all__ = ["BEAT", "Turn", "node_name", "wait_for_turn"]

BEAT = ".node.turn"
_BEATS_PER_LEASE = 5
_PATIENCE_SECONDS = 2.0


def node_name(config: StandbyConfig) -> str:
    """Return the name of this node: the configured one, or that of its machine."""
    return config.name or socket.gethostname()


class Turn:
    """The turn of this node.

    Args:
        folder: the shared folder.
        config: how often it must beat.
        number: of the turn, from the ledger.
    """

    def __init__(self, folder: Path, config: StandbyConfig, number: int) -> None:
        self.number = number
        self._path, self._name = folder / BEAT, node_name(config)
        self._pause = config.lease_s / _BEATS_PER_LEASE
        self._beats = 0

    def beat(self) -> bool:
        """Tell the others that this node works. Return False if a later turn has begun.

        Raises:
            OSError: the folder cannot be read or written.
        """
        if (found := _turn_of(_read(self._path))) is not None and found > self.number:
            return False
        self._beats += 1
        _write(self._path, f"{self.number} {self._name} {os.getpid()} {self._beats}")
        return True

    @contextmanager
    def beating(self, on_lost: Callable[[], None]) -> Iterator[None]:
        """Beat in a thread; at the end, tell the others that the turn is free.

        Args:
            on_lost: called once a later turn has begun.
        """
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(self._pause):
                try:
                    alive = self.beat()
                except OSError as error:
                    log("turn not kept", warning=True, cause=error.strerror or str(error))
                    continue
                if not alive:
                    on_lost()
                    return

        thread = threading.Thread(target=run, daemon=True)
        with suppress(OSError):  # the thread tries again
            self.beat()
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            # a later turn has another number, so this line frees nothing then
            with suppress(OSError):
                _write(self._path, f"free {self.number}")


class _Watching:
    """What a node that stands by has seen of the beats."""

    def __init__(self, folder: Path, config: StandbyConfig) -> None:
        self._folder, self._lease = folder, config.lease_s
        self._seen: tuple[str, int] | None = None
        self._beat: str | None = None
        self._since = time.monotonic()
        self.working = "another node"

    def over(self, last_turn: Callable[[], int]) -> int | None:
        """Return the number of the turn that is over, None while somebody works."""
        beat = _read(self._folder / BEAT)
        free = beat == "" or beat.startswith("free ")
        if beat != self._beat:
            self._beat, self._since, self._seen = beat, time.monotonic(), None
            self.working = (beat.split(" ") + [""] * 2)[1] or "another node"
        if not free and time.monotonic() - self._since <= self._lease:
            return None
        turn = last_turn()
        if turn == (_turn_of(beat) or 0):
            return turn
        # somebody has just begun a turn, and has not beaten yet
        if self._seen != (beat, turn):
            self._seen, self._since = (beat, turn), time.monotonic()
            return None
        return turn if time.monotonic() - self._since > self._lease else None


def wait_for_turn(config: NodeConfig, asked_to_end: Callable[[], bool], on_wait: Callable[[str], None]) -> Turn | None:
    """Wait until no other node works in the folder, and take over.

    Args:
        config: of the node, with ``standby``.
        asked_to_end: whether to give up waiting.
        on_wait: called with the reason while it waits.

    Returns:
        The turn, None if it was asked to end.

    Raises:
        CephError: the ledger is something else.
    """
    standby = config.standby
    assert standby is not None
    watching, name = _Watching(config.folder, standby), node_name(standby)
    said: str | None = None
    while not asked_to_end():
        try:
            number = _try(config.folder, watching, name)
            why = f"standby: {watching.working} works"
        except (StoppedError, OSError) as error:
            # such as a ledger locked by a paused node's transaction: that node must end or continue first
            number, why = None, f"standby: cannot take over: {error}"
        if number is not None:
            log("took over", node=name, turn=number)
            return Turn(config.folder, standby, number)
        on_wait(why)
        if why != said:
            said = why
            log("standby", warning="cannot take over" in why, cause=why)
        time.sleep(min(0.5, standby.lease_s / 10))
    return None


def _try(folder: Path, watching: _Watching, name: str) -> int | None:
    ledger: NodeLedger | None = None

    def last_turn() -> int:
        nonlocal ledger
        # opened only now: a reader that is paused would hold up the one that writes
        ledger = ledger or NodeLedger(folder / LEDGER, shared=True, patience_s=_PATIENCE_SECONDS)
        return ledger.last_turn()

    try:
        over = watching.over(last_turn)
        return None if over is None or ledger is None else ledger.take_turn(over, name)
    finally:
        if ledger is not None:
            ledger.close()


def _turn_of(beat: str) -> int | None:
    words = beat.removeprefix("free ").split(" ")
    return int(words[0]) if words[0].isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    """Write into the same file: on a network file system, a new one could stay unseen for a while."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        # always the same length, so that nothing of a longer line is left
        os.write(handle, f"{text[:200]:<200}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
