"""Executors do the work on films, in this process or in several. A run gives them jobs and takes outcomes."""

from __future__ import annotations

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from monai_ceph.errors import CephError
from monai_ceph.result import ModelIdentity
from monai_ceph.work.film import BrokenDeviceError, FilmJob, FilmWorker, Outcome, ReadFilm, Reading
from monai_ceph.work.film_head import FilmHead, read_film_head
from monai_ceph.work.remote import FetchedFilms

__all__ = [
    "Died",
    "Executor",
    "InlineExecutor",
    "LazyExecutor",
    "LocalExecutor",
    "MakeExecutor",
    "MakeWorker",
    "OtherModelError",
    "silence_parsers",
    "threads_per_worker",
]

MakeWorker = Callable[[], FilmWorker]
"""Creates the worker in the process that uses it. It must be picklable for executors with several processes."""


@dataclass(frozen=True)
class Died:
    """A process ended while it worked on a film. ``late``: it was killed because the film took too long."""

    id: int
    late: bool = False


class Executor(Protocol):
    """What a run needs from an executor, on one machine or many."""

    identity: ModelIdentity
    """Identity of the workers' model."""

    capacity: int
    """Greatest number of jobs at a time that were submitted and have no outcome yet."""

    def read_head(self, path: Path) -> FilmHead:
        """Read the head of a film. A film behind a URL is fetched, and kept until :meth:`forget`."""

    def forget(self, path: Path) -> None:
        """Delete what was fetched for a film: no more jobs have this path."""

    def submit(self, job: FilmJob) -> None:
        """Accept a job. It is never called when the capacity is used up."""

    def wait(self) -> Outcome | Died:
        """Wait until one of the submitted jobs ends, in any order, and return its outcome."""

    def close(self, at_once: bool) -> None:
        """End all workers; ``at_once``: without waiting for the jobs that they work on."""


MakeExecutor = Callable[[MakeWorker, ReadFilm, Path], Executor]
"""Creates an executor from a function that creates a worker, one that reads a film, and the folder for results."""


class LocalExecutor:
    """Base of the executors on this machine: this process fetches films behind URLs, each once, for all workers."""

    def __init__(self) -> None:
        self._fetched = FetchedFilms()

    def read_head(self, path: Path) -> FilmHead:
        """Read the head of a film. A film behind a URL is fetched, and kept until :meth:`forget`."""
        return read_film_head(path, self._fetched.get(path))

    def forget(self, path: Path) -> None:
        """Delete the copy of a film."""
        self._fetched.forget(path)

    def _with_copy(self, job: FilmJob) -> FilmJob:
        return replace(job, fetched=self._fetched.get(job.path))


class InlineExecutor(LocalExecutor):
    """Works in this process, in order, and reads the next film during the detection on this one.

    Args:
        make_worker: called once.
    """

    capacity = 2

    def __init__(self, make_worker: MakeWorker) -> None:
        super().__init__()
        self._worker = make_worker()
        self.identity = self._worker.identity
        self._ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading")
        self._jobs: deque[tuple[FilmJob, Future[Reading]]] = deque()

    def submit(self, job: FilmJob) -> None:
        """Begin to read the film."""
        job = self._with_copy(job)
        self._jobs.append((job, self._ahead.submit(self._worker.read, job)))

    def wait(self) -> Outcome | Died:
        """Work on the oldest film.

        Raises:
            BrokenDeviceError: if the device stopped working.
        """
        job, reading = self._jobs.popleft()
        try:
            return self._worker.finish(job, reading.result())
        except BrokenDeviceError as error:
            error.film = job.id
            raise

    def close(self, at_once: bool) -> None:
        """End the reading thread."""
        self._ahead.shutdown(wait=not at_once, cancel_futures=True)
        self._fetched.close()


class OtherModelError(CephError):
    """The workers have another model than expected."""


class LazyExecutor:
    """Creates the executor when the first film needs it, because loading the model takes seconds.

    Args:
        make: creates the executor.
        expected: identity of its model. None: unknown, so the executor is created at once.
    """

    def __init__(self, make: Callable[[], Executor], expected: ModelIdentity | None) -> None:
        self._make = make
        self._executor: Executor | None = None
        if expected is None:
            self._executor = make()
            expected = self._executor.identity
        self.identity = expected

    def ready(self) -> Executor:
        """Return the executor, and create it first if necessary.

        Raises:
            OtherModelError: if its model is not the expected one. ``identity`` is correct from then on.
        """
        if self._executor is None:
            self._executor = self._make()
            expected, self.identity = self.identity, self._executor.identity
            if self.identity != expected:
                raise OtherModelError("the model is not the one that was expected")
        return self._executor

    def close(self, at_once: bool) -> None:
        """End all workers, if there are any."""
        if self._executor is not None:
            self._executor.close(at_once)


def silence_parsers() -> None:
    """Silence the logs and warnings of parsers in this process: they quote what they read."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(pydicom|highdicom)\b")


def threads_per_worker(workers: int) -> int:
    """Return how many threads torch may use in each process if this many share the machine."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(int(limit) if limit.isdigit() else cores, cores // workers))
