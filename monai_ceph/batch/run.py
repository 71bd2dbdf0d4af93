"""A run over many films: open and lock the folder, work on the films, write the tables, close everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from monai_ceph.batch.clashes import mark_clashes
from monai_ceph.batch.inputs import Inputs, skipped_lines
from monai_ceph.batch.ledger import Ledger, known_model, open_database
from monai_ceph.batch.results import UNFINISHED, Results, refuse_folder
from monai_ceph.batch.schedule import OnFilm, Schedule
from monai_ceph.batch.sending import SENT, open_sent_ledger, send_objects
from monai_ceph.batch.summary import Summary, save_tables, summarise
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.readers import read_radiograph
from monai_ceph.storage.lock import locked
from monai_ceph.work.executors import Executor, InlineExecutor, LazyExecutor, MakeExecutor, OtherModelError
from monai_ceph.work.film import FilmWorker, MakeDetector, Read, read_film
from monai_ceph.work.interruption import Interrupted
from monai_ceph.work.names import readable
from monai_ceph.work.options import LEDGER, Options
from monai_ceph.work.processes import ProcessExecutor
from monai_ceph.work.remote import url_of

if TYPE_CHECKING:
    from monai_ceph.archives.targets import Sender

__all__ = ["detect_films"]


def detect_films(
    paths: Sequence[Path],
    out: Path,
    make_detector: MakeDetector,
    options: Options | None = None,
    *,
    on_total: Callable[[int], None] | None = None,
    on_film: OnFilm = lambda name, outcome: None,
    on_step: Callable[[str], None] = lambda text: None,
    interrupted: Interrupted = lambda: False,
    read: Read = read_radiograph,
    make_executor: MakeExecutor | None = None,
    senders: Mapping[str, Sender] | None = None,
    fingerprint: Callable[[], str | None] | None = None,
) -> Summary:
    """Detect on files and folders and write the results under ``out``.

    Every film ends as done, uncertain, rejected or failed. The ledger ``out/run.sqlite`` records this once all files of
    the film are written. If a run ended early, the same call continues it. The tables are written at the end, even if
    the run is interrupted.

    Args:
        paths: files, and folders that are searched to any depth; results already in ``out`` are skipped.
        out: folder for the results; created if necessary.
        make_detector: such as ``CephalogramDetector``; with several workers it must be picklable.
        options: options of the run.
        on_total: called with the number of files as soon as it is known, from another thread.
        on_film: called with the name and the outcome of every film; the outcome is None for a film that is skipped
            because it ended before.
        on_step: called with the next step of the run, such as loading the model.
        interrupted: asked before every film. Once it returns True, films that are being worked on are finished and the
            run ends.
        read: reads a film.
        make_executor: creates an executor for other machines, such as ``ray_cluster.RayExecutor``. None: work on this
            machine, with the workers in the options.
        senders: senders to the archives that get the run's objects after its tables are written, by their URLs.
        fingerprint: such as :func:`~monai_ceph.work.fingerprint.model_fingerprint`: returns a text that differs
            whenever the identity of the model may differ, or None. If it is the same as in the run before and there is
            nothing to do, no detector is created.

    Raises:
        CephError: if no film is found, for example because no URL can be listed; another run writes to ``out``; a file
            is in the way that no run wrote, or that was changed since; or the detector cannot be created.
        StoppedError: if the run cannot continue, for example because the disk is full.
        KeyboardInterrupt: if it was interrupted.
    """
    options = options or Options()
    if (url := url_of(Path(out))) is not None:
        raise CephError(f"{url}: results go to a folder, not to a URL; films may come from one")
    if make_executor is not None and options.film_timeout is not None:
        raise CephError(
            "--film-timeout works only with workers on this machine: leave out --film-timeout or --engine ray"
        )
    on_step("looking for films")
    inputs = Inputs(paths, out := Path(out).absolute())
    if next(inputs.paths(), None) is None:
        causes = "; ".join(inputs.not_listed.values())
        nothing = f"no film in {', '.join(readable(Path(path)) for path in paths)}"
        raise CephError(causes or "; ".join([nothing, *skipped_lines(inputs, options)]))
    if on_total is not None:
        # a separate search: the run may find other films meanwhile
        walk = Inputs(paths, out)
        threading.Thread(target=lambda: on_total(sum(1 for _ in walk.paths())), daemon=True).start()
    unfinished = out / UNFINISHED
    make_worker = partial(_make_worker, make_detector, unfinished, options, read)
    read_one = partial(read_film, read, options)

    def make() -> Executor:
        on_step("loading the model")
        executor = choose()
        on_step("detecting")
        return executor

    def choose() -> Executor:
        if make_executor is not None:
            return make_executor(make_worker, read_one, unfinished)
        if options.workers == 1 and options.film_timeout is None:
            return InlineExecutor(make_worker)
        return ProcessExecutor(make_worker, options.workers, options.film_timeout)

    busy = "another run writes there; wait for it, or choose another folder"
    if not (out / LEDGER).exists():
        # before a lock file is created in somebody else's folder
        refuse_folder(out, options.formats)
    fingerprint = fingerprint or (lambda: None)
    mark = fingerprint()
    with ExitStack() as stack:
        stack.enter_context(locked(out / ".run.lock", busy))
        _refuse_files_of_others(out, options, bool(senders))
        expected = known_model(out / LEDGER, mark) if mark is not None and not options.restart else None
        executor = stack.enter_context(_closing(partial(LazyExecutor, make, expected)))
        ledger = _open_ledger(out, options.restart)
        results = Results(ledger.database, out)
        start = partial(Schedule, ledger, executor, inputs, results, options, on_film, interrupted)
        schedule = start()
        try:
            try:
                schedule.work()
            except OtherModelError:
                # no film has changed yet: check all of them again, with the actual model
                ledger.start_new_run()
                schedule = start()
                schedule.work()
            seconds = time.perf_counter() - schedule.began if schedule.began is not None else 0.0
            # weights that were replaced during the run are not those that it used
            if mark is not None and mark == fingerprint():
                ledger.remember_model(mark, executor.identity)
            mark_clashes(ledger, results)
            save_tables(ledger, results, options)
            summary = summarise(ledger, seconds, dict(schedule.parts))
            summary.not_listed = list(inputs.not_listed.values())
            summary.skipped = skipped_lines(inputs, options)
            if senders:
                on_step("sending")
                summary.sending = send_objects(out, ledger.stems_of_run(), senders, interrupted)
            return summary
        except BaseException as error:
            # report the first error; if the disk is full, this fails too, and the earlier tables stay
            with suppress(CephError):
                schedule.stop(error)
                mark_clashes(ledger, results)
                save_tables(ledger, results, options)
            raise
        finally:
            results.clear_unfinished()
            with suppress(CephError):
                ledger.close()


def _make_worker(make_detector: MakeDetector, out: Path, options: Options, read: Read) -> FilmWorker:
    return FilmWorker(make_detector(), out, options, read)


@contextmanager
def _closing(make: Callable[[], LazyExecutor]) -> Iterator[LazyExecutor]:
    executor = make()
    try:
        yield executor
    except BaseException:
        executor.close(at_once=True)
        raise
    executor.close(at_once=False)


def _refuse_files_of_others(out: Path, options: Options, sending: bool) -> None:
    """Refuse files that the run would overwrite, before any work is done that could be lost.

    Raises:
        CephError: if there is a file that no run wrote, or that was changed since.
    """
    if sending and (out / SENT).exists():
        open_sent_ledger(out).close()
    if not (out / LEDGER).exists():
        refuse_folder(out, options.formats)
        return
    database = open_database(out / LEDGER)
    try:
        Results(database, out).refuse_changes(options.formats)
    finally:
        database.close()


def _open_ledger(out: Path, restart: bool) -> Ledger:
    """Open the ledger. ``restart`` deletes it first, with the files that it lists."""
    path = out / LEDGER
    if restart and path.exists():
        old = open_database(path)
        Results(old, out).remove_all()
        old.close()
        try:
            for tail in ("", "-wal", "-shm", "-journal"):
                path.with_name(path.name + tail).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_be_written(error, out) from error
    ledger = Ledger(path)
    Results(ledger.database, out).tidy()
    return ledger


def _cannot_be_written(error: OSError, path: Path) -> StoppedError:
    return StoppedError(f"{error.filename or path}: {error.strerror or error}")
