"""Work on a Ray cluster: tasks fetch and read films on any node, actors have the model and detect.

The driver, which is the process of the run, owns the ledger and the results. Ray does not retry anything itself, so the
driver knows if a film kills its worker twice. Other nodes need no access to the folder for results.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monai_ceph.errors import CephError, ReadError, StoppedError
from monai_ceph.result import ModelIdentity
from monai_ceph.storage.atomic import written_beside
from monai_ceph.work.executors import Died, MakeWorker, silence_parsers
from monai_ceph.work.film import BrokenDeviceError, FilmJob, FilmWorker, Outcome, ReadFilm, Reading
from monai_ceph.work.film_head import FilmHead, read_film_head
from monai_ceph.work.memory import keep_freed_memory
from monai_ceph.work.options import film_files
from monai_ceph.work.ray_connection import connect, first_line
from monai_ceph.work.remote import FetchedFilms, url_of
from monai_ceph.work.start_up import prepare_process

__all__ = ["RayExecutor"]

logger = logging.getLogger(__name__)

# a node may disappear while it loads the model; only a model that cannot be loaded ends the run
_MAX_DEATHS_WHILE_LOADING = 3
_WAIT_SECONDS = 60.0


def _fetch(path: Path) -> tuple[FilmHead, bytes | ReadError | None]:
    """Read the head of a film on any node; return it with the bytes of a film behind a URL, or why there are none."""
    silence_parsers()
    with closing(FetchedFilms()) as films:
        fetched = films.get(path)
        head = read_film_head(path, fetched)
        return head, fetched.read_bytes() if isinstance(fetched, Path) else fetched


def _read(read: ReadFilm, job: FilmJob, there: bool, fetched: bytes | ReadError | None = None) -> Reading:
    """Read a film on any node.

    Args:
        read: reads it.
        job: the film.
        there: the driver sees its file.
        fetched: what :func:`_fetch` returned of a film behind a URL.
    """
    silence_parsers()
    if there and not job.path.exists():
        return Reading(StoppedError(_not_shared()), 0.0)
    if not isinstance(fetched, bytes):
        reading = read(replace(job, fetched=fetched))
    else:
        try:
            with TemporaryDirectory(prefix="monai-ceph-") as folder:
                copy = Path(folder) / job.path.name
                copy.write_bytes(fetched)
                reading = read(replace(job, fetched=copy))
        except OSError as error:
            reading = Reading(ReadError(f"{job.path}: cannot be fetched ({type(error).__name__})."), 0.0)
    if isinstance(reading.result, Exception) and not isinstance(reading.result, CephError):
        # not every exception of a decoder can be sent to another process; its name and text can
        told = type(type(reading.result).__name__, (Exception,), {})(str(reading.result))
        reading = replace(reading, result=told)
    return reading


def _not_shared() -> str:
    return (
        f"the node {platform.node()} does not see a film that the driver sees: films must be on storage that all nodes "
        "have at the same path, or behind a URL"
    )


class _Actor:
    """Has the model, and works on one film at a time."""

    def load(self, make_worker: MakeWorker, threads: int, folder: Path) -> ModelIdentity | str:
        """Load the model. Return its identity, or the text of the error.

        Args:
            make_worker: see :class:`RayExecutor`.
            threads: number of torch's threads.
            folder: working folder of the driver; paths in a config are relative to it.
        """
        silence_parsers()
        keep_freed_memory()
        # an actor has its own process, which ends with it
        prepare_process()
        with suppress(OSError):
            os.chdir(folder)
        try:
            self._worker: FilmWorker = make_worker()
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(threads)
        except (CephError, OSError) as error:
            return str(error)
        return self._worker.identity

    def finish(self, job: FilmJob, reading: Reading) -> tuple[Outcome, dict[str, bytes]]:
        """Detect on a film that was read. Return the outcome, and the film's files by their paths in the results."""
        try:
            with TemporaryDirectory(prefix="monai-ceph-") as folder:
                out = Path(folder)
                outcome = self._worker.into(out).finish(job, reading)
                files = [file for file in film_files(out, job.stem).values() if file.exists()]
                return outcome, {str(file.relative_to(out)): file.read_bytes() for file in files}
        except BrokenDeviceError:
            # a new process may work again, so this counts as a death
            os._exit(1)


@dataclass
class _ActorSlot:
    """An actor, and what it is doing."""

    actor: Any
    loading: Any
    working: Any = None
    job: FilmJob | None = None
    ready: bool = False


class RayExecutor:
    """Works on a Ray cluster.

    Args:
        make_worker: picklable; called once in each actor.
        read: picklable; reads a film, in a task.
        out: absolute path of the folder for results; only this process writes there.
        address: address of a cluster, as for ``ray.init``. None: the cluster that RAY_ADDRESS names. Without it, a
            cluster is started on this machine, which listens on the loopback interface only and ends with the run.
        workers: number of actors. None: one per GPU, or one per ``cpus`` CPUs if there is no GPU.
        cpus: CPUs of an actor without a GPU.
        gpu: whether each actor takes one GPU. None: if the cluster has any.

    Raises:
        CephError: if Ray is not installed or there is no cluster, or the workers cannot load the model.
    """

    def __init__(
        self,
        make_worker: MakeWorker,
        read: ReadFilm,
        out: Path,
        *,
        address: str | None = None,
        workers: int | None = None,
        cpus: int = 4,
        gpu: bool | None = None,
    ) -> None:
        self._ray, self._own = connect(address)
        self._slots: list[_ActorSlot] = []
        self._fetched: dict[Path, Any] = {}
        self._reading: dict[Any, FilmJob] = {}
        self._read_films: deque[tuple[FilmJob, Any]] = deque()
        self._identity: ModelIdentity | None = None
        self._deaths_while_loading = 0
        self._out = out
        try:
            resources = self._ray.cluster_resources()
            gpu = resources.get("GPU", 0) >= 1 if gpu is None else gpu
            most = max((node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]), default=1)
            cpus = max(1, min(cpus, int(most)))
            if workers is None:
                workers = max(1, int(resources.get("GPU", 0) if gpu else resources.get("CPU", 0) // cpus))
            # each actor works on one film while the next one is read for it
            self.capacity = 2 * workers
            # if a task asked for a CPU, it would wait forever when the actors have all of them
            task = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy="SPREAD")
            self._fetch = task(_fetch).options(num_returns=2)
            self._read = task(_read)
            # runs where the bytes are
            self._read_fetched = self._read.options(scheduling_strategy="DEFAULT")
            self._film = self._ray.put(read)
            self._threads = 1 if gpu else cpus
            self._make_worker = make_worker
            self._Actor = self._ray.remote(_Actor).options(
                num_cpus=1 if gpu else cpus,
                num_gpus=1 if gpu else 0,
                max_restarts=0,
                max_task_retries=0,
            )
            for _ in range(workers):
                self._start()
            while self._identity is None:
                self._listen()
        except BaseException:
            self.close(at_once=True)
            raise
        self.identity = self._identity

    def read_head(self, path: Path) -> FilmHead:
        """Have the head of a film read on any node. The bytes of a film behind a URL stay there."""
        self._fetched.pop(path, None)
        head = self._fetch_on_a_node(path)
        try:
            answer: FilmHead = self._ray.get(head)
        except self._ray.exceptions.RayError:
            # the task died; the film is then read without its head, which shows what is wrong with it
            self._fetched.pop(path, None)
            return FilmHead.unread(path)
        return answer

    def forget(self, path: Path) -> None:
        """Let the cluster free the bytes of a film."""
        self._fetched.pop(path, None)

    def submit(self, job: FilmJob) -> None:
        """Have the film read on any node."""
        if url_of(job.path) is None:
            reading = self._read.remote(self._film, job, job.path.exists())
        else:
            if job.path not in self._fetched:
                self._fetch_on_a_node(job.path)
            reading = self._read_fetched.remote(self._film, job, False, self._fetched[job.path])
        self._reading[reading] = job

    def _fetch_on_a_node(self, path: Path) -> Any:
        """Fetch a film behind a URL, and return a reference to the film's head."""
        head, fetched = self._fetch.remote(path)
        if url_of(path) is not None:
            self._fetched[path] = fetched
        return head

    def wait(self) -> Outcome | Died:
        """Wait for any actor.

        Raises:
            StoppedError: if the replacement of a dead actor cannot load the model, or has another model.
        """
        while True:
            if result := self._listen():
                return result

    def close(self, at_once: bool) -> None:
        """End all actors and tasks, and the cluster if this run started it."""
        pending = [*self._reading, *(each.working or each.loading for each in self._slots)]
        with suppress(Exception):  # a cluster that is gone has no workers
            for reading in self._reading:
                self._ray.cancel(reading, force=True)
            for each in self._slots:
                self._ray.kill(each.actor)
            # an actor or task that was killed has ended once its answer is an error
            if pending:
                self._ray.wait(pending, num_returns=len(pending), timeout=10)
        self._reading.clear()
        self._fetched.clear()
        self._slots.clear()
        if self._own:
            self._own = False
            self._ray.shutdown()

    def _start(self) -> None:
        actor = self._Actor.remote()
        self._slots.append(_ActorSlot(actor, actor.load.remote(self._make_worker, self._threads, Path.cwd())))

    def _hand_out(self) -> None:
        for each in self._slots:
            if self._read_films and each.ready and each.job is None:
                each.job, reading = self._read_films.popleft()
                each.working = each.actor.finish.remote(each.job, reading)

    def _listen(self) -> Outcome | Died | None:
        """Wait for one answer, and handle it."""
        busy = {each.working: each for each in self._slots if each.working is not None}
        loading = {each.loading: each for each in self._slots if not each.ready}
        heard, _ = self._ray.wait([*busy, *self._reading, *loading], num_returns=1, timeout=_WAIT_SECONDS)
        if not heard:
            if self._identity is None:
                logger.warning("the Ray cluster has had no room for a worker for %.0f seconds", _WAIT_SECONDS)
            return None
        (answer,) = heard
        if answer in self._reading:
            # if the task died in a decoder, that shows when an actor gets the reading
            self._read_films.append((self._reading.pop(answer), answer))
            self._hand_out()
            return None
        if answer in busy:
            return self._finished(busy[answer])
        self._loaded(loading[answer])
        return None

    def _loaded(self, each: _ActorSlot) -> None:
        try:
            answer = self._ray.get(each.loading)
        except self._ray.exceptions.RayActorError as error:
            self._slots.remove(each)
            self._deaths_while_loading += 1
            if self._deaths_while_loading >= _MAX_DEATHS_WHILE_LOADING:
                raise self._stopped(f"workers die while loading the model: {first_line(error)}") from error
            self._start()
            return
        except self._ray.exceptions.RayError as error:
            # such as a node without the package; the last line of the text is the reason
            raise self._stopped(f"a node cannot load the model: {str(error).strip().splitlines()[-1]}") from error
        if isinstance(answer, str):
            raise self._stopped(answer)
        if self._identity not in (None, answer):
            raise StoppedError(
                "the nodes have different versions of monai-ceph, its weights or its config, or only some can compute "
                "in bfloat16; in that case give a --config with mixed_precision false"
            )
        self._identity, each.ready, self._deaths_while_loading = answer, True, 0
        self._hand_out()

    def _finished(self, each: _ActorSlot) -> Outcome | Died:
        job, each.job = each.job, None
        working, each.working = each.working, None
        assert job is not None
        result: Outcome | Died
        try:
            result, files = self._ray.get(working)
            self._write(files)
        except self._ray.exceptions.RayActorError:
            self._slots.remove(each)
            self._start()
            result = Died(job.id)
        except self._ray.exceptions.RayError:
            # the task that read the film, or the node that held its bytes or its pixels
            self._fetched.pop(job.path, None)
            result = Died(job.id)
        self._hand_out()
        return result

    def _write(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            target = self._out / name
            try:
                with written_beside(target) as part:
                    part.write_bytes(content)
            except OSError as error:
                raise StoppedError(f"{target}: {error.strerror or error}") from error

    def _stopped(self, message: str) -> CephError:
        return CephError(message) if self._identity is None else StoppedError(message)
