"""What a sender says, with bytes changed, cut and doubled: the port keeps taking films, and keeps nothing broken."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import film, send, wait_until
from test_receiver import Listening, listening

ROUNDS = 40

# pynetdicom's threads end with what they cannot read
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    accept = {"calling_ae_titles": ["SENDER"], "timeout_s": 2, "request_s": 2}
    with listening(tmp_path_factory.mktemp("fuzz"), accept=accept) as here:
        yield here


@pytest.fixture(scope="module")
def said(node: Listening) -> list[bytes]:
    """The PDUs of a sender that stores one film."""
    heard = bytearray()

    def pump(source: socket.socket, drain: socket.socket, record: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if record:
                    heard.extend(data)
                drain.sendall(data)
            drain.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def forward() -> None:
            near, _ = server.accept()
            with near, socket.create_connection(("127.0.0.1", node.port)) as far:
                back = threading.Thread(target=pump, args=(far, near, False))
                back.start()
                pump(near, far, True)
                back.join()

        thread = threading.Thread(target=forward)
        thread.start()
        assert send(server.getsockname()[1], film(1)) == [0]
        thread.join()
    pdus = []
    while heard:
        length = 6 + struct.unpack(">L", heard[2:6])[0]
        pdus.append(bytes(heard[:length]))
        del heard[:length]
    assert [pdu[0] for pdu in (pdus[0], pdus[-1])] == [1, 5]
    return pdus


def changed(pdus: list[bytes], chance: random.Random) -> list[bytes]:
    number = chance.randrange(len(pdus))
    pdu = bytearray(pdus[number])
    kind = chance.choice(("bytes", "header", "cut", "double", "length"))
    if kind == "bytes":
        for _ in range(chance.randrange(1, 9)):
            pdu[chance.randrange(6, len(pdu))] = chance.randrange(256)
    elif kind == "header":
        # where the names, contexts and the command are
        pdu[chance.randrange(6, min(len(pdu), 120))] = chance.randrange(256)
    elif kind == "cut":
        del pdu[chance.randrange(6, len(pdu)) :]
    elif kind == "double":
        pdu *= 2
    else:
        pdu[2:6] = struct.pack(">L", chance.choice((0, 1, len(pdu), 2**20, 2**31, 2**32 - 1)))
    return [*pdus[:number], bytes(pdu), *pdus[number + 1 :]]


def none_is_left() -> bool:
    """Whether every association has ended."""
    return not any(thread.name.startswith("AcceptorThread") for thread in threading.enumerate())


def test_changed_streams(node: Listening, said: list[bytes]) -> None:
    def speak(pdus: list[bytes]) -> None:
        first, *rest = pdus
        with suppress(OSError), socket.create_connection(("127.0.0.1", node.port), timeout=0.2) as connection:
            connection.sendall(first)
            with suppress(TimeoutError):
                connection.recv(65536)
            for pdu in rest:
                connection.sendall(pdu)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    chance = random.Random(11)
    streams = [changed(said, chance) for _ in range(ROUNDS)]
    # most of them wait for an answer that does not come
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, streams))
    wait_until(none_is_left)
    assert send(node.port, film(2)) == [0]
    # no association is left behind, and what was kept is known to the ledger
    wait_until(none_is_left)
    for _ in range(2):
        node.spool.sweep(0)
    assert list(node.spool.incoming.iterdir()) == []
    files: list[Path] = list(node.spool.queue.iterdir())
    assert files
    assert all(node.ledger.film_of(path.stem) is not None for path in files)
