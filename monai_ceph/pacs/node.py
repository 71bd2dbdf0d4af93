"""The running node: its threads, and how it starts and ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset

from monai_ceph import weights
from monai_ceph.archives.config import DicomSource, DicomWebSource
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.selection import Selection
from monai_ceph.archives.sources import make_sources
from monai_ceph.archives.targets import make_senders
from monai_ceph.errors import StoppedError
from monai_ceph.pacs.audit_log import AuditLog
from monai_ceph.pacs.commitment import Commitments
from monai_ceph.pacs.commitment_requests import CommitmentRequests
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.content import NodeWorker, stored_content
from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.detection_loop import DetectionLoop, Workers
from monai_ceph.pacs.folder import locked_folder, open_folder
from monai_ceph.pacs.inbox import InboxLoop, put_into_inbox
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.open_files import check_open_files
from monai_ceph.pacs.polling_loop import PollingLoop
from monai_ceph.pacs.proposal_loop import ProposalLoop, SignedFilms
from monai_ceph.pacs.receiver import FilmIntake, Receiver
from monai_ceph.pacs.review_folder import ReviewFolder
from monai_ceph.pacs.spool import instance_uid_of
from monai_ceph.pacs.turn import Turn, wait_for_turn
from monai_ceph.pacs.watch import Troubled, Watch, Watched
from monai_ceph.pacs.worklist_loop import WorklistLoop
from monai_ceph.profiles import load_profile
from monai_ceph.readers import read_radiograph
from monai_ceph.work.film import MakeDetector
from monai_ceph.work.options import Options
from monai_ceph.work.processes import ProcessExecutor, WorkerLostError

if TYPE_CHECKING:
    from monai_ceph.pacs.web import WebServer

__all__ = ["Node", "run_node"]

_FILM_SECONDS, _OTHER_SECONDS = 60.0, 10.0
# the service manager starts the node again after it
_EXIT_STOPPED = 3


class Node:
    """A running node. It listens from :meth:`run` on.

    Args:
        config: of the node.
        make_detector: picklable, called in each worker process. Returns a :class:`CephalogramDetector`, or a stand-in.
        signed: returns the films that people signed in the folder for reviews; needed if the node is to propose
            profiles.
        turn: number of this node's turn if others share its folder, else None.

    Raises:
        CephError: another node has the folder, its ledger is damaged, or the detector cannot be created.
        StoppedError: the folder cannot be written, the DICOM port is taken, or a worker ends while it loads the model.
    """

    def __init__(
        self,
        config: NodeConfig,
        make_detector: MakeDetector,
        signed: SignedFilms | None = None,
        turn: int | None = None,
    ) -> None:
        self.config, self._signed = config, signed
        self.spool, self.ledger = open_folder(config)
        self.ledger.turn = turn
        if turn is not None:
            self.ledger.on_lost_turn = _end_at_once
        options = Options(config.targets.objects, force=config.detect.force, objects=config.objects)
        make_worker = partial(_make_worker, make_detector, self.spool.objects, options)
        self.audit = None if config.audit_syslog is None else AuditLog(config.audit_syslog, config)
        self._error: BaseException | None = None
        self._ended = threading.Event()
        log("loading the model", workers=config.detect.workers)
        try:
            self._executor: Workers = ProcessExecutor(make_worker, config.detect.workers, config.detect.timeout_s)
        except WorkerLostError as error:
            self._close_files()
            # the service manager restarts the node after this error
            raise StoppedError(str(error)) from error
        try:
            self._build()
        except BaseException:
            self._executor.close(at_once=True)
            self._close_files()
            raise

    def _build(self) -> None:
        config = self.config
        senders = make_senders(config.targets, config.ae_title)
        requests = CommitmentRequests(self.spool, self.ledger, config.retry)
        self.deliveries = [
            DeliveryLoop(sender, self.spool, self.ledger, config.retry, self._wake_detection, requests)
            for sender in senders
        ]
        selection = Selection(config.select)
        self.detection = DetectionLoop(
            self._executor,
            self.spool,
            self.ledger,
            selection,
            senders,
            config.detect,
            self._wake_deliveries,
            None if config.review_folder is None else ReviewFolder(config.review_folder),
        )
        self.commitments = Commitments(config, self.ledger)
        self.intake = FilmIntake(self.spool, self.ledger, self._executor.identity, self.detection.wake.set)
        polled: dict[str, DicomSource | DicomWebSource] = {each.name: each for each in config.sources.dicom}
        polled.update({each.name: each for each in config.sources.dicomweb})
        self.polls = [
            PollingLoop(source, polled[source.name], self.ledger, selection, self._deliver, self.intake.full)
            for source in make_sources(config.sources, config.ae_title)
            if polled[source.name].every_s is not None
        ]
        self.worklists = [
            WorklistLoop(*(each, DicomWebArchive(source), self.ledger, config.targets, self._deliver, self.intake.full))
            for each in config.worklists
            for source in config.sources.dicomweb
            if source.name == each.source
        ]
        self.inbox = InboxLoop(self.spool, self.intake, config.accept.timeout_s)
        self.proposals = self._make_proposals()
        self._recover()
        try:
            self.receiver = Receiver(config, self.intake, self.commitments.ask, requests.take_report)
        except OSError as error:
            raise StoppedError(f"the DICOM port {config.port} of {config.host} cannot be used: {error}") from error
        self.web = self._make_web()

    def _make_proposals(self) -> ProposalLoop | None:
        propose, detect = self.config.propose, self.config.detect
        folder = self.config.review_folder
        if propose is None or folder is None or self._signed is None:
            return None
        in_use = load_profile(detect.profile) if detect.profile is not None else None
        shape = partial(_mean_shape, detect.config)
        known = folder / "pictures.json"
        return ProposalLoop(propose, in_use, self._executor.identity, shape, self._signed, self.ledger, known)

    def _make_web(self) -> WebServer | None:
        http = self.config.http
        if http is None:
            return None
        # imported only here: without a page no web server is needed
        from monai_ceph.pacs.stow_in import StowIn
        from monai_ceph.pacs.web import WebServer, from_this_page, make_app

        audits = [] if self.audit is None else [self.audit]
        more: list[Watched] = [*audits, *self.worklists]
        stow = StowIn(self.config.accept, self.intake, from_this_page) if http.stow else None
        parts: list[Troubled] = [self.detection, self.commitments, self.inbox, *audits]
        parts += [] if stow is None else [stow]
        watch = Watch(
            *(self.ledger, self.intake, self.receiver, self.deliveries, self.polls, parts),
            *(self._ended.is_set, self.proposals, more),
        )
        app = make_app(
            http,
            self.config.ae_title,
            self.spool,
            self.ledger,
            self.deliveries,
            self.polls,
            watch,
            self._wake_all,
            stow,
        )
        return WebServer(app, http)

    def _wake_all(self) -> None:
        self._wake_detection()
        for delivery in self.deliveries:
            delivery.try_now()

    def run(self, asked_to_end: Callable[[], bool]) -> None:
        """Work until asked to end, or until a failure that the node cannot recover from.

        Raises:
            StoppedError: the node had to stop.
        """
        identity = self._executor.identity
        weights = identity.weights_sha256
        self.ledger.audit("started", software=identity.software, weights_sha256=weights)
        log("started", ae_title=self.config.ae_title, port=self.config.port, weights_sha256=weights)
        loops = [self.detection.run, *(delivery.run for delivery in self.deliveries), self.commitments.run]
        loops += [self.inbox.run, *(poll.run for poll in self.polls)]
        loops += [each.run for each in (self.proposals, self.web, self.audit, *self.worklists) if each is not None]
        threads = [threading.Thread(target=self._watched, args=(loop,), daemon=True) for loop in loops]
        threads.append(threading.Thread(target=self.receiver.serve, daemon=True))
        for thread in threads:
            thread.start()
        try:
            while not (self._ended.is_set() or asked_to_end()):
                time.sleep(0.1)
        finally:
            self.close(threads)
        if self._error is not None:
            raise StoppedError(f"the node stopped: {self._error}") from self._error

    def close(self, threads: list[threading.Thread]) -> None:
        """End in order: no new films, then the films at work, then the workers."""
        self._ended.set()
        self.receiver.close()
        wakes = [self.detection.wake, self.commitments.wake, *(loop.wake for loop in self.deliveries)]
        wakes += [] if self.proposals is None else [self.proposals.wake]
        wakes += [*(loop.wake for loop in self.polls), *(loop.wake for loop in self.worklists)]
        for wake in wakes:
            wake.set()
        # the films at work are finished; an archive that trickles must not hold up the end for longer
        films, others = threads[0], threads[1:]
        films.join(timeout=_FILM_SECONDS)
        end = time.monotonic() + _OTHER_SECONDS
        for thread in others:
            thread.join(timeout=max(0.0, end - time.monotonic()))
        self._executor.close(at_once=self._error is not None)
        log("ended")
        self._close_files()

    def _close_files(self) -> None:
        self.ledger.close()
        if self.audit is not None:
            self.audit.close()

    def _deliver(self, dataset: Dataset) -> None:
        """Take a film fetched by DICOMweb."""
        put_into_inbox(dataset, self.spool)

    def _wake_detection(self) -> None:
        self.detection.wake.set()

    def _wake_deliveries(self) -> None:
        for delivery in self.deliveries:
            delivery.wake.set()

    def _watched(self, loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(self._ended)
        except BaseException as error:
            self._error = error
            log("stopped", warning=True, cause=f"{type(error).__name__}: {error}")
            self._ended.set()

    def _recover(self) -> None:
        """Continue after the last run, however it ended."""
        self.ledger.give_up_targets([delivery.name for delivery in self.deliveries])
        for path in self.spool.recover(self.ledger):
            uid = instance_uid_of(path)
            if self.ledger.knows(uid, stored_content(path)):
                # another file of a known image: it was replaced, or its sender was never told that it is safe
                path.unlink()
                continue
            self.intake.take(path, uid, "found in the folder")


def _mean_shape(configs: tuple[Path, ...]) -> np.ndarray:
    """Return the mean shape of the workers' model, (N, 2), (x, y)."""
    if not configs:
        return np.array(weights.mean_shape())[:, ::-1]
    # imports MONAI, which only the workers need otherwise
    from monai_ceph.inference_config import inference_config, mean_shape_of

    return mean_shape_of(inference_config(configs).get_parsed_content("mean_shape"))[:, ::-1]


def _make_worker(make_detector: MakeDetector, objects: Path, options: Options) -> NodeWorker:
    return NodeWorker(make_detector(), objects, options, read_radiograph)


def _end_at_once() -> None:
    """End this process without touching anything: another node works in the folder now."""
    log("stopped", warning=True, cause="another node has taken over")
    os._exit(_EXIT_STOPPED)


def run_node(config: NodeConfig, make_detector: MakeDetector, signed: SignedFilms | None = None) -> None:
    """Run a node in this process until SIGTERM or Ctrl-C.

    A second signal ends the process at once, like a kill, without losing films. The exit code is then 128 plus the
    signal's number.

    Args:
        config: of the node.
        make_detector: creates the detector in each worker process, see :class:`Node`.
        signed: returns the films that people signed, likewise.

    Raises:
        CephError: the node cannot be started.
        StoppedError: the node had to stop.
    """
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            # an exception would unlock the folder while threads still write there, and wait for workers, which ignore
            # signals and end with this process
            os._exit(128 + number)
        asked.set()

    def listen() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ask)

    check_open_files(config)
    with locked_folder(config.folder, shared=config.standby is not None):
        if config.standby is None:
            node = Node(config, make_detector, signed)
            listen()
            node.run(asked.is_set)
            return
        listen()
        if (turn := _wait_for_turn(config, asked.is_set)) is not None:
            # from now on, so that loading the model takes nobody's patience
            with turn.beating(_end_at_once):
                Node(config, make_detector, signed, turn.number).run(asked.is_set)


def _wait_for_turn(config: NodeConfig, asked_to_end: Callable[[], bool]) -> Turn | None:
    if config.http is None:
        return wait_for_turn(config, asked_to_end, lambda reason: None)
    # imported only here: without a page no web server is needed
    from monai_ceph.pacs.standby_page import StandbyPage

    page = StandbyPage()
    with page.served(config.http):
        return wait_for_turn(config, asked_to_end, lambda reason: setattr(page, "reason", reason))
