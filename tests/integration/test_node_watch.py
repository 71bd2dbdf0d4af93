"""What keeps films out or results back is said: by /ready, the metrics and the page, until its cause ends."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from nodes import SR, RunningNode, SmallDisk, film, free_port, listens, running, send, settings, small_disk, wait_until
from prometheus_client.parser import text_string_to_metric_families
from pydicom import Dataset
from pynetdicom import AE, evt
from web_archive import Archive, serving

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"


def get(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        return error.read().decode()


def ready(port: int) -> Any:
    return json.loads(get(port, "/ready"))


def metric(port: int, name: str, label: str = "") -> float | None:
    for family in text_string_to_metric_families(get(port, "/metrics")):
        for sample in family.samples:
            if sample.name == name and label in ("", *sample.labels.values()):
                return float(sample.value)
    return None


@contextmanager
def with_page(folder: Path, values: dict[str, Any]) -> Iterator[tuple[RunningNode, int]]:
    port = values["http"]["port"]
    with running(folder, values) as node:
        wait_until(lambda: listens(port))
        yield node, port


def with_port(folder: Path, **changes: Any) -> dict[str, Any]:
    return settings(folder, http={"host": "127.0.0.1", "port": free_port()}, **changes)


def test_a_target_that_refuses_every_object(tmp_path: Path) -> None:
    """It answers each of them, so it does not count as failing, and nothing is given up for a week."""
    values, answers = with_port(tmp_path), [0xC000]
    (peer,) = values["targets"]["dicom"]
    entity = AE("PACS")
    for sop_class in (SR, GSPS):
        entity.add_supported_context(sop_class)
    handlers = [(evt.EVT_C_STORE, lambda event: answers[0])]
    server = entity.start_server((peer["host"], peer["port"]), block=False, evt_handlers=handlers)
    try:
        with with_page(tmp_path, values) as (node, port):
            assert send(node.port, film(1)) == [0]
            node.wait_for("refused by the target", 2)
            wait_until(lambda: metric(port, "monai_ceph_refused_objects", "pacs") == 2)
            assert ready(port) == {"problems": [], "warnings": ["target pacs refuses objects"]}
            assert metric(port, "monai_ceph_warnings") == 1
            assert "status C000 (2 objects)" in get(port, "/")
            answers[0] = 0
            node.wait_for("sent", 2)
            wait_until(lambda: ready(port)["warnings"] == [])
            assert metric(port, "monai_ceph_refused_objects", "pacs") == 0
    finally:
        server.shutdown()


def test_clocks(tmp_path: Path) -> None:
    """A clock that ran ahead for a day: an archive is asked again, and an object of before is not given up."""
    with serving(Archive()) as archive:
        sources = {"dicomweb": [{"name": "archive", "url": archive.url, "every_s": 1}]}
        values = with_port(tmp_path, sources=sources)
        with with_page(tmp_path, values) as (node, port):
            assert send(node.port, film(1)) == [0]
            node.wait_for("target failed")
            assert node.stop() == 0
        future = date.today() + timedelta(700)
        with closing(sqlite3.connect(node.folder / "node.sqlite")) as ledger, ledger:
            ledger.execute("INSERT OR REPLACE INTO cursors VALUES ('archive', ?)", (future.isoformat(),))
            # as if they had waited since long ago
            ledger.execute("UPDATE deliveries SET since = since - 1e9")
        with with_page(tmp_path, values) as (node, port):
            (event, *_) = node.wait_for("clock corrected")
            assert f"it was queried up to {future}" in event["cause"]
            wait_until(lambda: metric(port, "monai_ceph_source_days_behind", "archive") == 0)
            node.wait_for("target failed", 3)
            assert node.events("given up") == []
            wait_until(lambda: ready(port)["warnings"] == ["target pacs fails"])


@pytest.mark.skipif(not SmallDisk.can_be_made(), reason="this process may not mount a small file system")
def test_a_full_small_disk_recovers_while_senders_push(tmp_path: Path) -> None:
    """Objects that arrive do not eat the space that the node needs to finish the others, and 0xA700 is said."""
    values = with_port(tmp_path, spool={"min_free_mb": 8})
    small = [film(number, Rows=256, Columns=256, PixelData=bytes(2**17)) for number in range(2, 8)]
    large = film(8, Rows=2048, Columns=1024, PixelData=bytes(2**22))
    pushing, answers = threading.Event(), {2**17: list[int | None](), 2**22: list[int | None]()}

    def push(dataset: Dataset) -> None:
        while not pushing.is_set():
            answers[len(dataset.PixelData)].extend(send(node.port, dataset))

    with small_disk(Path(values["folder"]), 24) as disk, with_page(tmp_path, values) as (node, _):
        assert send(node.port, film(1)) == [0]
        node.wait_for("detected")
        disk.fill(leave_bytes=5 * 2**20)
        threads = [threading.Thread(target=push, args=(each,), daemon=True) for each in (*small, large)]
        for thread in threads:
            thread.start()
        entity, (peer,) = AE("PACS"), values["targets"]["dicom"]
        for sop_class in (SR, GSPS):
            entity.add_supported_context(sop_class)
        address, handlers = (peer["host"], peer["port"]), [(evt.EVT_C_STORE, lambda event: 0)]
        try:
            # those that fit are answered, the one that would fill the disk is cut off
            wait_until(lambda: answers[2**17].count(0xA700) >= 6 and None in answers[2**22], 60)
            assert 0 not in answers[2**17] + answers[2**22]
            # what the node itself has to write still goes
            server = entity.start_server(address, block=False, evt_handlers=handlers)
            node.wait_for("sent", 2, 60)
            server.shutdown()
            disk.empty()
            wait_until(lambda: 0 in answers[2**17], 60)
        finally:
            pushing.set()
            for thread in threads:
                thread.join()


@pytest.mark.skipif(not SmallDisk.can_be_made(), reason="this process may not mount a small file system")
def test_a_disk_that_stays_full(tmp_path: Path) -> None:
    values = with_port(tmp_path)
    with small_disk(Path(values["folder"]), 16) as disk, with_page(tmp_path, values) as (node, port):
        assert send(node.port, film(1)) == [0]
        node.wait_for("detected")
        disk.fill()
        send(node.port, film(2))
        problems = wait_until(lambda: ready(port)["problems"])
        assert any("MB are free" in each or "cannot be written" in each for each in problems)
        assert metric(port, "monai_ceph_problems") >= 1
        disk.empty()
        wait_until(lambda: send(node.port, film(2)) == [0])
        wait_until(lambda: ready(port)["problems"] == [])
