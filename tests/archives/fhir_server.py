"""A FHIR server on the loopback interface that takes transactions as R4 says, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fhir.resources.R4B.bundle import Bundle


class FhirServer:
    """What it has, and how it answers.

    Attributes:
        resources: each resource by its kind and identifier.
        logins: the ``Authorization`` of each request.
        change: changes an answer before it is sent.
        status: answers everything with this HTTP status, if it is not None.
    """

    def __init__(self) -> None:
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.logins: list[str | None] = []
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
        self.status: int | None = None
        self.url = ""

    def transaction(self, bundle: dict[str, Any]) -> dict[str, Any]:
        Bundle.model_validate(bundle)
        assert bundle["type"] == "transaction"
        urls = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(set(urls)) == len(urls)
        self._check_references(bundle, set(urls))
        statuses = [self._one(entry["resource"], entry["request"]) for entry in bundle["entry"]]
        entries = [{"response": {"status": status}} for status in statuses]
        answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
        Bundle.model_validate(answer)
        return answer

    def _one(self, resource: dict[str, Any], request: dict[str, str]) -> str:
        kind = resource["resourceType"]
        condition = request.get("ifNoneExist") or urlsplit(request["url"]).query
        (identifier,) = parse_qs(condition, strict_parsing=True)["identifier"]
        system, _, value = identifier.partition("|")
        assert {"system": system, "value": value} in resource["identifier"]
        there = (kind, identifier) in self.resources
        if request["method"] == "POST":
            assert request["url"] == kind
            if there:
                return "200 OK"
        else:
            assert (request["method"], urlsplit(request["url"]).path) == ("PUT", kind)
        self.resources[kind, identifier] = resource
        return "200 OK" if there else "201 Created"

    def _check_references(self, found: Any, urls: set[str]) -> None:
        """Fail if a reference leads nowhere."""
        if isinstance(found, dict):
            assert found.get("reference", next(iter(urls))) in urls
        for each in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
            self._check_references(each, urls)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [resource for (name, _), resource in self.resources.items() if name == kind]


@contextmanager
def fhir_serving(server: FhirServer) -> Iterator[FhirServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.logins.append(self.headers.get("Authorization"))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if server.status is not None:
                issue = {"severity": "error", "code": "business-rule", "diagnostics": "Doe^Jane is not known"}
                self._answer(server.status, {"resourceType": "OperationOutcome", "issue": [issue]})
            elif self.path != "/fhir" or self.headers["Content-Type"] != "application/fhir+json; charset=utf-8":
                self._answer(404, {})
            else:
                self._answer(200, server.change(server.transaction(json.loads(body))))

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/fhir"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
