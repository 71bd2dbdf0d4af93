"""What was fetched is taken in, whatever else lies in the folder."""

from __future__ import annotations

import errno
import logging
import os
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import film, running_loop, settings, wait_until
from test_detection_loop import FailingWorkers, placed

from monai_ceph.errors import CephError
from monai_ceph.pacs import receiver
from monai_ceph.pacs.check import check_owner
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.inbox import InboxLoop, put_into_inbox
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.receiver import FilmIntake
from monai_ceph.pacs.spool import Spool
from monai_ceph.result import ModelIdentity

NOBODY = 65534


def test_a_file_that_cannot_be_opened_keeps_no_other_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A link that leads nowhere cannot be opened by root, either."""
    config = NodeConfig.model_validate(settings(tmp_path))
    spool = Spool(config.folder, config.spool)
    closed = spool.inbox / "0.dcm"
    closed.symlink_to(tmp_path / "nowhere")
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        model = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")
        loop = InboxLoop(spool, FilmIntake(spool, ledger, model, lambda: None), timeout=60)
        ended = threading.Event()
        thread = threading.Thread(target=loop.run, args=(ended,))
        with caplog.at_level(logging.WARNING):
            thread.start()
            try:
                for number in (1, 2):
                    put_into_inbox(film(number), spool)
                wait_until(lambda: all(ledger.has(str(film(number).SOPInstanceUID)) for number in (1, 2)))
            finally:
                ended.set()
                thread.join()
    assert [path.name for path in spool.inbox.iterdir()] == ["0.dcm"]
    assert len([record for record in caplog.records if "0.dcm" in record.getMessage() + str(record.__dict__)]) == 1


def test_a_film_that_cannot_be_read_now_stays_and_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = NodeConfig.model_validate(settings(tmp_path))
    spool = Spool(config.folder, config.spool)
    put_into_inbox(film(1), spool)
    (first,) = spool.inbox.iterdir()
    first = first.rename(spool.inbox / "0.dcm")
    put_into_inbox(film(2), spool)

    def read(path: Path, **options: Any) -> Dataset:
        if path == first:
            raise OSError(errno.EIO, "Input/output error")
        return dcmread(path, **options)

    monkeypatch.setattr(receiver, "dcmread", read)
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        model = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")
        loop = InboxLoop(spool, FilmIntake(spool, ledger, model, lambda: None), timeout=60)
        with running_loop(loop):
            wait_until(lambda: ledger.has("1.2.3.2.3"))
            assert first.exists()
            monkeypatch.undo()
            wait_until(lambda: ledger.has("1.2.3.1.3"))
    assert len([record for record in caplog.records if record.getMessage() == "not taken"]) == 1


def test_a_film_that_was_fetched_needs_no_room(tmp_path: Path) -> None:
    """Else a disk that was fetched full would stay so. Of too many films it waits all the same."""
    config = NodeConfig.model_validate(settings(tmp_path, spool={"min_free_mb": 10**9, "max_films": 2}))
    spool = Spool(config.folder, config.spool)
    for number in (1, 2, 3):
        put_into_inbox(film(number), spool)
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        model = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")
        loop = InboxLoop(spool, FilmIntake(spool, ledger, model, lambda: None), timeout=60)
        with running_loop(loop):
            wait_until(lambda: ledger.at_work() == 2)
        assert ledger.at_work() == 2
    assert len(list(spool.inbox.iterdir())) == 1


def test_a_deflated_film_of_an_archive_is_taken_inflated(tmp_path: Path) -> None:
    config = NodeConfig.model_validate(settings(tmp_path))
    spool = Spool(config.folder, config.spool)
    deflated = film(1)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    put_into_inbox(deflated, spool)
    (path,) = spool.inbox.iterdir()
    assert receiver.check_object(path)[0] == receiver.SUCCESS
    assert dcmread(path).pixel_array.tobytes() == film(1).pixel_array.tobytes()


def test_the_folder_of_another_user(tmp_path: Path) -> None:
    check_owner(tmp_path)
    check_owner(tmp_path / "not there yet")
    folder = tmp_path
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, -1)
    else:
        folder = Path("/")
    with pytest.raises(
        CephError, match=rf"^{folder}: the node's folder belongs to user \w+\. Run this command as that user"
    ):
        check_owner(folder)


def test_what_is_not_a_file_stops_nothing(tmp_path: Path) -> None:
    """To open a named pipe would wait for ever for somebody who writes into it."""
    with placed(tmp_path, FailingWorkers()) as place:
        put_into_inbox(film(1), place.spool)
        (there,) = place.spool.inbox.iterdir()
        os.mkfifo(place.spool.inbox / "0.dcm")
        (place.spool.inbox / "1.dcm").symlink_to(tmp_path / "nowhere")
        (place.spool.inbox / "2.dcm").mkdir()
        with running_loop(InboxLoop(place.spool, place.intake, timeout=60)):
            wait_until(lambda: not there.exists())
        assert place.ledger.counts() == {"received": 1}
        assert sorted(path.name for path in place.spool.inbox.iterdir()) == ["0.dcm", "1.dcm", "2.dcm"]
