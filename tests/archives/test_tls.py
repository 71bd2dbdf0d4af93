"""TLS by BCP 195 (RFC 9325): real handshakes with peers that speak too little."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from fastapi import FastAPI
from nodes import film, free_port, listens, send, wait_until
from test_receiver import client, listening
from tls_peers import CBC, NEW, OLD, STATIC_RSA, handshake, weak_client, weak_server

from monai_ceph.archives.config import ClientTls, DicomTarget, DicomWebTarget
from monai_ceph.archives.targets import DicomSender, DicomWebSender, TargetError
from monai_ceph.archives.tls import SUITES, client_context, server_context
from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import HttpConfig
from monai_ceph.pacs.health import is_alive
from monai_ceph.pacs.web import WebServer

WEAK = [(OLD, "ALL"), (NEW, CBC), (NEW, STATIC_RSA)]
NAMES = ["TLS 1.1", "CBC", "no forward secrecy"]


@pytest.fixture(scope="module")
def dimse_port(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[int]:
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    accept = {"calling_ae_titles": ["SENDER"], "timeout_s": 5, "tls": tls}
    with listening(tmp_path_factory.mktemp("tls"), accept=accept) as here:
        yield here.port


@pytest.fixture(scope="module")
def https_port(certificates: Path) -> Iterator[int]:
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    port, ended = free_port(), threading.Event()
    server = WebServer(FastAPI(), HttpConfig(port=port, tls=tls))
    thread = threading.Thread(target=server.run, args=(ended,))
    thread.start()
    wait_until(lambda: listens(port))
    yield port
    ended.set()
    thread.join()


@pytest.mark.parametrize("port", ["dimse_port", "https_port"])
@pytest.mark.parametrize(("version", "suites"), WEAK, ids=NAMES)
def test_servers_refuse_weak_clients(
    port: str, version: ssl.TLSVersion, suites: str, certificates: Path, request: pytest.FixtureRequest
) -> None:
    number = request.getfixturevalue(port)
    assert handshake(number, weak_client(certificates / "node.pem", version, suites)) is None
    # the same client with one suite that is allowed
    allowed = weak_client(certificates / "node.pem", NEW, f"{SUITES[3]}:{CBC}")
    assert handshake(number, allowed) == ("TLSv1.2", SUITES[3])
    assert handshake(number, client_context(certificates / "node.pem")) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


@pytest.mark.parametrize(("version", "suites"), WEAK, ids=NAMES)
def test_clients_refuse_weak_servers(version: ssl.TLSVersion, suites: str, certificates: Path) -> None:
    ca = certificates / "node.pem"
    with weak_server(certificates, version, suites) as (port, seen):
        # the server itself works
        assert handshake(port, weak_client(ca, version, suites)) is not None
        wait_until(lambda: len(seen) == 1)
        dimse = DicomTarget(name="t", ae_title="T", host="localhost", port=port, tls=ClientTls(ca=ca))
        with pytest.raises(TargetError, match="no association"), DicomSender(dimse, "CEPH").open():
            pass
        web = DicomWebTarget(name="t", url=f"https://localhost:{port}/dicom-web", ca=ca)
        path = ca.with_name("film.dcm")
        film(1).save_as(path, enforce_file_format=True)
        with DicomWebSender(web).open() as store, pytest.raises(TargetError, match="no answer: SSLError"):
            store(path)
        wait_until(lambda: len(seen) == 3)
        assert not {"TLSv1.1", "TLSv1.2", "TLSv1.3"} & set(seen[1:])


def test_a_server_with_the_wrong_certificate_is_refused(certificates: Path) -> None:
    with weak_server(certificates, NEW, SUITES[3], "stranger") as (port, seen):
        web = DicomWebTarget(name="t", url=f"https://localhost:{port}/dicom-web", ca=certificates / "node.pem")
        path = certificates / "film.dcm"
        film(1).save_as(path, enforce_file_format=True)
        with DicomWebSender(web).open() as store, pytest.raises(TargetError, match="no answer: SSLError"):
            store(path)
        wait_until(lambda: len(seen) == 1)
        assert "UNKNOWN_CA" in seen[0]


def test_nobody_can_renegotiate(dimse_port: int, certificates: Path) -> None:
    """OpenSSL's client asks for it at a line with R (RFC 9325 3.5)."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{dimse_port}", "-tls1_2"]
    ended = subprocess.run(command, input=b"R\n", capture_output=True, timeout=30, check=False)
    said = (ended.stdout + ended.stderr).decode()
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said
    assert "Compression: NONE" in said
    # no ticket, whose key would stay the same as long as the node runs
    assert "TLS session ticket:" not in said


def test_unfinished_handshakes_keep_nobody_from_the_page(https_port: int, certificates: Path) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(closing(socket.create_connection(("127.0.0.1", https_port)))) for _ in range(40)]
        assert handshake(https_port, client_context(certificates / "node.pem")) is not None
        # the oldest was closed for the others
        held[0].settimeout(20)
        assert held[0].recv(1) == b""


def test_the_health_check_speaks_tls(https_port: int, certificates: Path) -> None:
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    # this app has no /health, so what answers is the page's server behind TLS
    asked = is_alive(HttpConfig(port=https_port, tls=tls))
    assert asked == f"127.0.0.1 port {https_port}: the answer is 404"
    assert "no node answers" in str(is_alive(HttpConfig(port=https_port)))


def test_a_page_port_that_is_taken_has_one_clear_error(https_port: int, certificates: Path) -> None:
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    with pytest.raises(StoppedError, match=f"the port {https_port} of the page cannot be used: Address already in use"):
        WebServer(FastAPI(), HttpConfig(port=https_port, tls=tls))


def test_films_arrive_by_tls(dimse_port: int, certificates: Path) -> None:
    assert send(dimse_port, film(7), tls_args=client(certificates, None)) == [0]
    assert send(dimse_port, film(8)) == [None]


def test_every_suite_of_a_context_is_strong(certificates: Path) -> None:
    contexts = [client_context(), server_context(certificates / "node.pem", certificates / "node.key")]
    for context in contexts:
        assert context.minimum_version == NEW
        for suite in context.get_ciphers():
            assert suite["aead"]
            assert suite["protocol"] == "TLSv1.3" or suite["kea"] == "kx-ecdhe"


def test_a_key_with_a_password_is_an_error_and_no_question(certificates: Path, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    command = ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", str(certificates / "node.key")]
    subprocess.run([*command, "-out", str(key)], check=True, capture_output=True)
    with pytest.raises(ssl.SSLError):
        server_context(certificates / "node.pem", key)
