"""Schemathesis sends a running node requests that its OpenAPI schema allows and ones that it forbids."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("schemathesis", reason="the extra node-tests is not installed (make optional, from Python 3.11 on)")
from nodes import film, free_port, listens, running, send, settings, wait_until

TOKEN = "hush-hush"
DEAD = [1, 2, 3]
# a redirect that is followed would be judged as the answer of the page that it leads to
HOOKS = """
import schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["allow_redirects"] = False
"""
# another name of this machine, a ledger that cannot be read, no room: nothing that a request could bring about
NOT_BY_A_REQUEST = {"400", "503"}


def ask_everything(folder: Path, url: str, token: str | None) -> set[tuple[str, str]]:
    """Run Schemathesis with all its checks, and return the operations with the statuses that they answered."""
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "schemathesis.toml").write_text(
        f"hooks = {str(folder / 'hooks.py')!r}\n"
        f"dictionaries.dead = {{ values = {DEAD} }}\n"
        'parameters."path.film_id" = { dictionary = "dead", probability = 0.5 }\n'
        + (f"auth.openapi.bearer = {{ bearer = {token!r} }}\n" if token else "")
    )
    report = folder / "report.ndjson"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml"), "run"]
    command += ["--max-examples", "10", "--seed", "1", "--generation-database", "none", "--no-color"]
    command += ["--report-ndjson-path", str(report), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in report.read_text().splitlines()]
    recorders = [event["ScenarioFinished"]["recorder"] for event in events if "ScenarioFinished" in event]
    return {
        (
            f"{each['request']['method']} {recorder['cases'][name]['value']['path']}",
            str(each["response"]["status_code"]),
        )
        for recorder in recorders
        for name, each in recorder.get("interactions", {}).items()
    }


@pytest.mark.parametrize(("token", "logins"), [(None, [None]), (TOKEN, [None, TOKEN])], ids=["no token", "token"])
def test_the_schema_describes_the_answers_of_the_node(
    tmp_path: Path, token: str | None, logins: list[str | None]
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/openapi.json"
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": port, "token": token})
    with running(tmp_path, values) as node:
        assert send(node.port, *(film(number, level=1) for number in DEAD), film(9)) == [0] * 4
        node.wait_for("dead", len(DEAD))
        wait_until(lambda: listens(port))
        seen = set().union(*(ask_everything(tmp_path, url, login) for login in logins))
        with urlopen(url, timeout=20) as answer:
            paths = json.load(answer)["paths"]
    documented = {
        (f"{method.upper()} {path}", status)
        for path, methods in paths.items()
        for method, operation in methods.items()
        for status in operation["responses"]
        if status not in NOT_BY_A_REQUEST
    }
    assert ("POST /films/{film_id}/retry", "303") in documented
    # else a check may have passed because it never came to that answer
    assert documented - seen == set()
    # no other status but that of a method that is not there
    assert {status for _, status in seen - documented} == {"405"}
