"""Several processes, each with its own model. If one dies, its film loses one attempt, and the process is replaced."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.result import ModelIdentity
from monai_ceph.work.executors import Died, LocalExecutor, MakeWorker, silence_parsers, threads_per_worker
from monai_ceph.work.film import BrokenDeviceError, FilmJob, Outcome
from monai_ceph.work.memory import keep_freed_memory
from monai_ceph.work.start_up import prepare_process

__all__ = ["ProcessExecutor", "WorkerLostError", "begin_worker"]

# torch and MONAI wrap such errors in others, so only the text tells them apart
_NO_MEMORY = re.compile(r"MemoryError|out of memory|allocate memory")


class WorkerLostError(CephError):
    """A worker could not load the model for another reason than the model itself, so a second try may succeed."""


def _main(pipe: Connection, make_worker: MakeWorker, threads: int) -> None:
    """Run a worker process until its pipe is closed."""
    begin_worker()
    try:
        worker = make_worker()
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
    except (CephError, OSError, MemoryError) as error:
        text = str(error) or type(error).__name__
        lasts = isinstance(error, CephError) and not _NO_MEMORY.search(text)
        pipe.send(CephError(text) if lasts else WorkerLostError(text))
        return
    pipe.send(worker.identity)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            outcome = worker(job)
        except BrokenDeviceError:
            # a new process may work again, so this counts as a death
            os._exit(1)
        pipe.send(outcome)


def begin_worker() -> None:
    """Prepare a process that works for another one: it ends with that one, and not before."""
    # every process of a terminal or a service gets these signals; the first process decides what to do
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence_parsers()
    keep_freed_memory()
    prepare_process()


def _end_with_parent() -> None:
    """End this process as soon as its parent is gone, so that it writes nothing into a later run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@dataclass
class _Process:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    job: FilmJob | None = None
    since: float = 0.0


class ProcessExecutor(LocalExecutor):
    """Works in ``count`` processes, each with its share of the processor's cores.

    Every process has its own pipe and one job at a time. So it is known which film a process died on, and no lock is
    shared that a dead process could still hold.

    Args:
        make_worker: picklable; called once in each process.
        count: number of processes.
        limit_s: time for one film in seconds; a process that takes longer is killed. None: no limit.

    Raises:
        CephError: if the workers cannot load the model.
        WorkerLostError: the same, for a reason that may be gone at the next try.
    """

    def __init__(self, make_worker: MakeWorker, count: int, limit_s: float | None = None) -> None:
        super().__init__()
        self.capacity = count
        self._limit_s = limit_s
        self._make_worker = make_worker
        self._threads = threads_per_worker(count)
        self._context = multiprocessing.get_context("spawn")
        self._jobs: deque[FilmJob] = deque()
        self._processes: list[_Process] = []
        self._identity: ModelIdentity | None = None
        try:
            for _ in range(count):
                self._start()
            while self._identity is None:
                self._listen()
        except BaseException:
            self.close(at_once=True)
            raise
        self.identity = self._identity

    def submit(self, job: FilmJob) -> None:
        """Give the film to a free process, or wait until there is one."""
        self._jobs.append(self._with_copy(job))
        self._hand_out()

    def wait(self) -> Outcome | Died:
        """Wait for any process.

        Raises:
            StoppedError: if the replacement of a dead process cannot load the model.
        """
        while True:
            if result := self._listen():
                return result

    def wait_for(self, seconds: float) -> Outcome | Died | None:
        """Do the same, but not longer than this; None if no film ended.

        Raises:
            StoppedError: as :meth:`wait`.
        """
        return self._listen(seconds)

    def close(self, at_once: bool) -> None:
        """End all processes."""
        for each in self._processes:
            if at_once:
                each.process.kill()
            each.pipe.close()
        for each in self._processes:
            each.process.join(timeout=10)
            if each.process.is_alive():
                each.process.kill()
                each.process.join()
        self._processes.clear()
        self._fetched.close()

    def _start(self) -> None:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_main, args=(there, self._make_worker, self._threads), daemon=True)
        process.start()
        there.close()
        self._processes.append(_Process(process, here))

    def _hand_out(self) -> None:
        for each in self._processes:
            if self._jobs and each.ready and each.job is None:
                each.job, each.since = self._jobs.popleft(), time.monotonic()
                # a dead process shows when its pipe is read
                with suppress(OSError):
                    each.pipe.send(each.job)

    def _listen(self, seconds: float | None = None) -> Outcome | Died | None:
        """Receive one message, and handle it."""
        heard = wait([each.pipe for each in self._processes], self._longest_wait(seconds))
        if not heard:
            late = next((each for each in self._processes if self._left(each) <= 0), None)
            if late is None:
                return None
            late.process.kill()
            return self._bury(late, late=True)
        each = next(each for each in self._processes if each.pipe is heard[0])
        try:
            message: Any = each.pipe.recv()
        except (EOFError, OSError):
            return self._bury(each)
        if isinstance(message, CephError):
            raise self._cannot_load(message)
        if isinstance(message, ModelIdentity):
            self._identity, each.ready = message, True
            self._hand_out()
            return None
        each.job = None
        self._hand_out()
        return message

    def _left(self, each: _Process) -> float:
        """Return the seconds that are left for the film of a process."""
        if self._limit_s is None or each.job is None:
            return math.inf
        return each.since + self._limit_s - time.monotonic()

    def _longest_wait(self, seconds: float | None) -> float | None:
        left = min(self._left(each) for each in self._processes)
        if seconds is not None:
            left = min(left, seconds)
        return None if left == math.inf else max(left, 0.0)

    def _bury(self, each: _Process, late: bool = False) -> Died | None:
        each.process.join()
        each.pipe.close()
        self._processes.remove(each)
        if not each.ready:
            # a replacement would end in the same way
            code = each.process.exitcode
            raise self._cannot_load(WorkerLostError(f"a worker ended while it loaded the model (exit code {code})"))
        job = each.job
        self._start()
        return Died(job.id, late) if job else None

    def _cannot_load(self, error: CephError) -> CephError:
        return error if self._identity is None else StoppedError(str(error))
