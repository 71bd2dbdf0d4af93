"""Clients that hold a connection and send little: none of them keeps other senders out. Real sockets, a real node."""

from __future__ import annotations

import json
import resource
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from fastapi import FastAPI
from nodes import (
    RunningNode,
    associated,
    film,
    free_port,
    listens,
    running,
    running_loop,
    send,
    settings,
    wait_until,
)
from pynetdicom.sop_class import Verification
from test_receiver import DX, listening
from trickle import connected, half_request, slow_association, slow_data

from monai_ceph.errors import CephError
from monai_ceph.pacs import guarded_http
from monai_ceph.pacs.config import HttpConfig, NodeConfig
from monai_ceph.pacs.open_files import MOST, check_open_files, needed_files
from monai_ceph.pacs.places import PENDING
from monai_ceph.pacs.web import WebServer

ACCEPT = {"calling_ae_titles": ["SENDER"], "timeout_s": 3, "request_s": 2, "max_associations": 4}


def ended(connection: socket.socket, seconds: float = 20) -> bool:
    """Whether the other side closes a connection within this time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@contextmanager
def connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connected(port))) for _ in range(count)]


def test_requests_that_never_end_keep_nobody_out(tmp_path: Path) -> None:
    """More than there are places, a byte at a time, over and over: pynetdicom restarts its timeout with each byte."""
    with listening(tmp_path, accept=ACCEPT) as here, slow_association(here.port, 60, pause=0.3) as slow:
        for number in range(1, 4):
            assert send(here.port, film(number)) == [0]
        assert here.receiver.problems() == []
        assert ended(slow[-1])
        assert sum(here.receiver.places.refused.values()) >= 60 - 32


def test_data_that_trickles_in_ends_its_association(tmp_path: Path) -> None:
    with listening(tmp_path, accept=ACCEPT) as here, slow_data(here.port, pause=0.3) as connection:
        wait_until(lambda: here.receiver.places.associations() == 1)
        assert ended(connection)
        wait_until(lambda: here.receiver.places.associations() == 0)
        wait_until(lambda: here.files() == [])


def test_one_address_does_not_get_every_place(tmp_path: Path) -> None:
    with listening(tmp_path, accept=ACCEPT) as here, ExitStack() as stack:
        held = [stack.enter_context(associated(here.port, Verification)) for _ in range(4)]
        assert [each.is_established for each in held] == [True, True, True, False]
        said = "no further association from 127.0.0.1"
        assert here.receiver.warnings() == {said: "it has 3 at once (accept.max_per_address)"}
        other = stack.enter_context(associated(here.port, DX, bind_address=("127.0.0.2", 0)))
        assert other.send_c_store(film(1)).Status == 0
        assert here.receiver.problems() == ["all 4 associations are in use (accept.max_associations)"]
        other.release()
        wait_until(lambda: here.receiver.problems() == [])
        for each in held[:3]:
            each.release()
        wait_until(lambda: here.receiver.warnings() == {})


def test_the_last_places_are_for_known_senders_if_anybody_may_send(tmp_path: Path) -> None:
    accept = {**ACCEPT, "calling_ae_titles": "any", "max_per_address": 4, "reserved": 1}
    with listening(tmp_path, accept=accept) as here, ExitStack() as stack:
        assert send(here.port, film(1), calling="KNOWN") == [0]
        wait_until(lambda: here.receiver.places.associations() == 0)
        held = [stack.enter_context(associated(here.port, Verification, calling="NEW")) for _ in range(4)]
        assert [each.is_established for each in held] == [True, True, True, False]
        assert stack.enter_context(associated(here.port, Verification, calling="KNOWN")).is_established


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, int]]:
    """A node with a page and as few open files as it needs."""
    folder = tmp_path_factory.mktemp("few-files")
    values = settings(folder, http={"host": "127.0.0.1", "port": free_port()})
    needed = needed_files(NodeConfig.model_validate(values))
    with running(folder, values) as node:
        assert node.process is not None
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (needed, needed))
        wait_until(lambda: listens(values["http"]["port"]))
        yield node, values["http"]["port"]


def ready(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=20) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


@pytest.mark.parametrize("which", ["HTTP", "DIMSE", "both"])
def test_connections_without_end_starve_neither_port(node: tuple[RunningNode, int], which: str) -> None:
    running_node, http = node
    lines = running_node.log.read_text().count("\n")
    with ExitStack() as stack:
        if which != "DIMSE":
            stack.enter_context(half_request(http, 300))
        if which != "HTTP":
            stack.enter_context(connections(running_node.port, 300))
        number = {"HTTP": 1, "DIMSE": 2, "both": 3}[which]
        assert send(running_node.port, film(number)) == [0]
        assert ready(http)["problems"] == []
    # a line for each connection that was closed would be 600
    assert running_node.log.read_text().count("\n") - lines < 100


def test_a_half_sent_request_is_closed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(guarded_http, "REQUEST_SECONDS", 1.0)
    config = HttpConfig(host="127.0.0.1", port=free_port())
    with running_loop(WebServer(FastAPI(), config)):
        wait_until(lambda: listens(config.port))
        with half_request(config.port, 1) as (one,):
            assert ended(one)
        (said,) = wait_until(lambda: [each for each in caplog.records if each.getMessage() == "connection closed"])
    assert said.details["cause"] == "no complete HTTP request within 1 s"


def test_no_descriptor_for_a_connection_is_said_and_ends(tmp_path: Path) -> None:
    """The limit is lowered under a running node, as if something else in it had leaked."""
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": free_port()})
    with running(tmp_path, values, limits=["receiver._EXHAUSTED_SECONDS=3"]) as node:
        assert node.process is not None
        wait_until(lambda: ready_or_none(values["http"]["port"]))
        used = len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))
        before = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (used + 2, before[1]))
        # as many as wait in the server's queue: further ones would wait until the node closes some
        with connections(node.port, PENDING):
            (event, *_) = node.wait_for("connection refused")
            assert "Too many open files" in event["cause"]
            time.sleep(2)
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, before)
            assert "too many open files" in str(ready(values["http"]["port"]))
        assert node.log.read_text().count("\n") < 150
        assert wait_until(lambda: send(node.port, film(1)) == [0])
        wait_until(lambda: ready(values["http"]["port"])["problems"] == [])


def ready_or_none(port: int) -> Any:
    return ready(port) if listens(port) else None


@pytest.mark.parametrize(
    ("limit", "associations", "said"),
    [
        ((100, 100), 20, "needs 1[0-9][0-9] open files, and this process may open 100"),
        ((4096, 4096), 400 + 0, None),
        ((100, 4096), 20, None),
    ],
)
def test_the_limit_of_open_files_is_checked_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[int, int], associations: int, said: str | None
) -> None:
    values = settings(tmp_path)
    values["accept"] = {"calling_ae_titles": ["SENDER"], "max_associations": associations}
    config, raised = NodeConfig.model_validate(values), []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limit)

    def raise_to(kind: int, to: tuple[int, int]) -> None:
        if to[0] > limit[1]:
            raise ValueError("not allowed to raise maximum limit")
        raised.append(to)

    monkeypatch.setattr(resource, "setrlimit", raise_to)
    check: Callable[[], None] = lambda: check_open_files(config)  # noqa: E731
    if said is None:
        check()
        assert raised == ([(needed_files(config), limit[1])] if limit[0] < needed_files(config) else [])
    else:
        with pytest.raises(CephError, match=said):
            check()
    assert needed_files(config) <= MOST
