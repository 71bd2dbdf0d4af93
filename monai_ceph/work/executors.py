"""Who works on films: this process, or several. The run hands out jobs and takes outcomes, and knows nothing else."""

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
    "LateExecutor",
    "LocalExecutor",
    "MakeExecutor",
    "MakeWorker",
    "OtherModelError",
    "be_discreet",
    "threads_per_worker",
]

MakeWorker = Callable[[], FilmWorker]
"""Makes the worker in the process that uses it; picklable for any executor with processes."""


@dataclass(frozen=True)
class Died:
    """The process ended while it worked on a film; ``late``: it was ended, because the film took too long."""

    id: int
    late: bool = False


class Executor(Protocol):
    """What a run needs of whoever does the work, on one machine or many."""

    identity: ModelIdentity
    """Of the model that the workers hold."""

    capacity: int
    """Jobs that may be submitted and not yet answered."""

    def read_head(self, path: Path) -> FilmHead:
        """Read the head of a film. A film behind a URL is fetched, and kept until :meth:`forget`."""

    def forget(self, path: Path) -> None:
        """Drop what was fetched of a film: no further job has this path."""

    def submit(self, job: FilmJob) -> None:
        """Take a job; never called beyond the capacity."""

    def wait(self) -> Outcome | Died:
        """Return how one of the submitted jobs ended, in any order."""

    def close(self, at_once: bool) -> None:
        """End all workers; at once, if what they do is not wanted any more."""


MakeExecutor = Callable[[MakeWorker, ReadFilm, Path], Executor]
"""Makes an executor from what makes a worker, what reads a film, and the folder of results."""


class LocalExecutor:
    """What executors on this machine share: this process fetches films behind URLs, each once, for all workers."""

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
    """Works in this process, in order, and reads the next film while the network works on this one.

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
            BrokenDeviceError: if this process can do no more.
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
    """The workers hold another model than the one that was expected."""


class LateExecutor:
    """An executor that is made when a film needs it: loading the model takes seconds.

    Args:
        make: makes it.
        expected: identity of the model that it will hold. None: not known, so that it is made at once.
    """

    def __init__(self, make: Callable[[], Executor], expected: ModelIdentity | None) -> None:
        self._make = make
        self._executor: Executor | None = None
        if expected is None:
            self._executor = make()
            expected = self._executor.identity
        self.identity = expected

    def ready(self) -> Executor:
        """Return the executor, and make it first if it is not there yet.

        Raises:
            OtherModelError: if its model is not the expected one. From then on ``identity`` is right.
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


def be_discreet() -> None:
    """Keep the parsers of this process from writing on the screen: they quote what they read."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(pydicom|highdicom)\b")


def threads_per_worker(workers: int) -> int:
    """Return how many threads torch may use in each of so many processes on this machine."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(int(limit) if limit.isdigit() else cores, cores // workers))
