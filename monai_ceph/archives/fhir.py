"""A FHIR server (R4) that gets the measurements of a film as one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from monai_ceph.archives.config import FhirTarget
from monai_ceph.archives.dicomweb import web_session
from monai_ceph.archives.stow import Answer, TargetError

__all__ = ["FhirSender"]

_JSON = "application/fhir+json"
# the fault is in what was sent, not in the server or the login
_REFUSED = (400, 409, 412, 413, 415, 422)
_DONE = ("200", "201", "204")


class FhirSender:
    """Sends bundles, one request per bundle.

    Args:
        config: address and login of the server.
    """

    def __init__(self, config: FhirTarget) -> None:
        self.name, self.objects = config.name, config.objects
        self._config = config

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open a session."""
        with web_session(self._config) as session:
            yield lambda path: self._post(session, path)

    def _post(self, session: requests.Session, path: Path) -> Answer:
        data = path.read_bytes()
        headers = {"Content-Type": f"{_JSON}; charset=utf-8", "Accept": _JSON}
        try:
            answer = session.post(
                self._config.url, data=data, headers=headers, timeout=self._config.timeout_s, allow_redirects=False
            )
        except (requests.RequestException, OSError) as error:
            raise TargetError(f"no answer: {type(error).__name__}") from error
        text = f"HTTP {answer.status_code}{_issues(answer)}"
        if answer.status_code in _REFUSED:
            return Answer(False, text)
        if answer.status_code != 200:
            raise TargetError(text)
        return _confirmed(answer, len(json.loads(data)["entry"]))


def _confirmed(answer: requests.Response, entries: int) -> Answer:
    """Read the answer to a transaction: one status per entry, in their order (FHIR R4, http, transaction response)."""
    found = _content(answer)
    if found.get("resourceType") != "Bundle" or found.get("type") != "transaction-response":
        return Answer(False, "the answer is not one to a transaction")
    statuses = [_status(each) for each in found.get("entry") or []]
    if len(statuses) != entries:
        return Answer(False, f"the answer is about {len(statuses)} of {entries} resources")
    if bad := [status for status in statuses if status not in _DONE]:
        return Answer(False, f"a resource has the status {bad[0] or 'none'}")
    created = statuses.count("201")
    return Answer(True, f"{created} of {entries} resources created, the others were there")


def _status(entry: Any) -> str:
    response = entry.get("response") if isinstance(entry, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    # such as 201 Created
    return status[:3] if isinstance(status, str) else ""


def _issues(answer: requests.Response) -> str:
    """Return the codes of an OperationOutcome. Its texts may quote what was sent."""
    issues = _content(answer).get("issue")
    codes = [str(each.get("code")) for each in issues if isinstance(each, dict)] if isinstance(issues, list) else []
    known = [code for code in codes if code.replace("-", "").isalpha() and len(code) < 32]
    return f" ({', '.join(dict.fromkeys(known))})" if known else ""


def _content(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
