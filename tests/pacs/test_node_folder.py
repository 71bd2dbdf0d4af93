"""What can be done to the folder of a node while no node runs."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import RunningNode, settings
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.pacs.config import SpoolConfig
from monai_ceph.pacs.folder import LEDGER
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.spool import Spool, film_key
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")


def test_a_retry_leaves_alone_what_was_taken_away(tmp_path: Path) -> None:
    node = RunningNode(tmp_path, settings(tmp_path))
    spool = Spool(node.folder, SpoolConfig())
    keys = {}
    with closing(NodeLedger(node.folder / LEDGER)) as ledger:
        for uid in ("1.2", "1.3", "1.4"):
            part = spool.incoming / "part"
            part.write_bytes(uid.encode())
            keys[uid] = film_key(uid, part)
            spool.keep(part, keys[uid])
            ledger.receive(uid, keys[uid], "SENDER", 3, MODEL)
            film = ledger.film_of(keys[uid])
            assert film is not None
            ledger.end(film, "dead", "why")
            spool.settle(ledger, film.id)
    shutil.rmtree(spool.dead / keys["1.2"])
    (spool.dead / keys["1.3"] / "film.dcm").unlink()
    done = CliRunner().invoke(app, ["node", "retry", "--config", str(node.config)])
    assert done.exit_code == 0, done.output
    said = f"2 were removed from {spool.dead} and cannot be tried again"
    assert done.output.splitlines() == ["1 dead letters will be tried again", said]
    assert [path.name for path in spool.dead.iterdir()] == [keys["1.3"]]
    assert [path.stem for path in spool.queue.iterdir()] == [keys["1.4"]]
    with closing(NodeLedger(node.folder / LEDGER)) as ledger:
        assert {film.uid: film.state for film in ledger.films("dead", "received")} == {
            "1.2": "dead",
            "1.3": "dead",
            "1.4": "received",
        }
    said = CliRunner().invoke(app, ["node", "audit", "--config", str(node.config)]).output
    audit = [json.loads(line) for line in said.splitlines()]
    assert [row["uid"] for row in audit if row["event"] == "retried"] == ["1.4"]
