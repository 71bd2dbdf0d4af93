"""Heatmaps on demand, made in a process of its own: the review itself never imports torch. Nothing goes to the disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLongError
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

from monai_ceph.errors import CephError
from monai_ceph.work.heatmaps import FilmHeatmaps, make_heatmaps
from monai_ceph.work.processes import begin_worker

__all__ = ["Heatmaps", "NotPossibleError"]

_KEPT_FILMS = 20
_LIMIT_SECONDS = 300.0
_IDLE_SECONDS = 600.0


class NotPossibleError(CephError):
    """Nothing can be detected here, on any film."""


class Heatmaps:
    """Makes the heatmaps of films, and keeps those of the last ones in memory.

    The process starts with the first film and ends after some minutes without one: the model needs much memory.

    Args:
        device: torch device, None for the best one.
        overlays: bundle configs that change single keys, as the detection had them.
        limit_s: time for one film in seconds, with the start of the process.
        idle_s: seconds without a film after which the process ends.
    """

    def __init__(
        self,
        device: str | None = None,
        overlays: tuple[Path, ...] = (),
        limit_s: float = _LIMIT_SECONDS,
        idle_s: float = _IDLE_SECONDS,
    ) -> None:
        self._device, self._overlays, self._limit_s, self._idle_s = device, overlays, limit_s, idle_s
        self._kept: OrderedDict[str, FilmHeatmaps] = OrderedDict()
        # one film at a time; a second request for the same film waits, and finds it made
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._timer: threading.Timer | None = None

    @staticmethod
    def possible() -> bool:
        """Return whether the packages for a detection are installed. It imports none of them."""
        return find_spec("torch") is not None and find_spec("monai") is not None

    def of(self, key: str, path: Path, frame: int | None) -> FilmHeatmaps:
        """Return the heatmaps of a film.

        Args:
            key: changes with the film's file.
            path: of the film.
            frame: its number in a file with several.

        Raises:
            NotPossibleError: nothing can be detected here, or the process ended or took too long.
            CephError: this film has no heatmaps.
        """
        with self._lock:
            if (known := self._kept.get(key)) is None:
                known = self._made(path, frame)
                if known.lasting:
                    raise NotPossibleError(known.fault)
                if known.fault is not None:
                    raise CephError(known.fault)
                self._kept[key] = known
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT_FILMS:
                self._kept.popitem(last=False)
            return known

    def _made(self, path: Path, frame: int | None) -> FilmHeatmaps:
        if not self.possible():
            raise NotPossibleError("detection is not possible here: torch or MONAI is not installed")
        if self._timer is not None:
            self._timer.cancel()
        if self._pool is None:
            # spawned, because this process has threads
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), begin_worker)
        try:
            job = self._pool.submit(make_heatmaps, path, frame, self._device, self._overlays)
            found = job.result(timeout=self._limit_s)
        except BrokenProcessPool as error:
            self._end(amid_a_film=True)
            raise NotPossibleError("the process of the detector ended, perhaps for lack of memory") from error
        except TooLongError as error:
            self._end(amid_a_film=True)
            raise NotPossibleError(f"the detection took longer than {self._limit_s:g} s") from error
        if found.lasting:
            self._end()
        else:
            self._timer = threading.Timer(self._idle_s, self._end_if_idle)
            self._timer.daemon = True
            self._timer.start()
        return found

    def _end_if_idle(self) -> None:
        # otherwise a film is being worked on
        if self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def _end(self, amid_a_film: bool = False) -> None:
        """End the process, if there is one."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if amid_a_film:
            # before Python 3.14, the pool itself can only wait
            for process in list((pool._processes or {}).values()):
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """End the process, even in the middle of a film."""
        if self._timer is not None:
            self._timer.cancel()
        idle = self._lock.acquire(blocking=False)
        self._end(amid_a_film=not idle)
        if idle:
            self._lock.release()
