"""Clients that hold a connection and send a byte now and then, on the loopback interface."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pynetdicom import AE
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def association_request(calling: str = "SENDER", called: str = "CEPH") -> bytes:
    """Return an A-ASSOCIATE-RQ PDU for DX films."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    length, version = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, version.implementation_class_uid = 16384, AE("X").implementation_class_uid
    primitive.user_information = [length, version]
    context = build_context(DX)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def _trickle(connections: Sequence[socket.socket], data: bytes, pause: float, ended: threading.Event) -> None:
    """Send the bytes one by one over each connection, the last byte never."""
    for index in range(len(data) - 1):
        for connection in connections:
            with suppress(OSError):
                connection.send(data[index : index + 1])
        if ended.wait(pause):
            return


def connected(port: int) -> socket.socket:
    """Return a connection. A full queue of the server drops requests, and the system repeats them after seconds."""
    while True:
        with suppress(TimeoutError):
            connection = socket.create_connection(("127.0.0.1", port), timeout=0.1)
            connection.settimeout(20)
            return connection


@contextmanager
def _held(port: int, count: int) -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(connected(port))
        yield opened
    finally:
        for each in opened:
            each.close()


@contextmanager
def slow_association(port: int, count: int, pause: float) -> Iterator[list[socket.socket]]:
    """Hold connections whose association request arrives a byte at a time."""
    ended = threading.Event()
    with _held(port, count) as connections:
        thread = threading.Thread(target=_trickle, args=(connections, association_request(), pause, ended))
        thread.start()
        try:
            yield connections
        finally:
            ended.set()
            thread.join()


@contextmanager
def slow_data(port: int, pause: float, calling: str = "SENDER") -> Iterator[socket.socket]:
    """Hold an association that was accepted, and whose data arrives in PDUs with a byte each."""
    ended = threading.Event()
    with _held(port, 1) as (connection,):
        connection.sendall(association_request(calling))
        assert connection.recv(1) == b"\x02", "the association was not accepted"
        # P-DATA-TF with a presentation data value of one byte, of a command that does not end (PS3.8 9.3.5)
        pdu = bytes([4, 0, 0, 0, 0, 7, 0, 0, 0, 3, 1, 1, 0])

        def run() -> None:
            while not ended.wait(pause):
                with suppress(OSError):
                    connection.send(pdu)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield connection
        finally:
            ended.set()
            thread.join()


@contextmanager
def half_request(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Hold HTTP connections that never end their request."""
    with _held(port, count) as connections:
        for each in connections:
            with suppress(OSError):
                each.send(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n")
        yield connections
