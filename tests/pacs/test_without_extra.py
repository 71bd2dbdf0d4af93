"""The core package works without what the node needs, and says what to install."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib.util, sys

EXTRA = ("pynetdicom", "dicomweb_client", "fastapi", "uvicorn", "prometheus_client")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRA:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in EXTRA else find(name, *rest)
from monai_ceph.cli import app
import monai_ceph.pacs.config_file, monai_ceph.pacs.ledger, monai_ceph.archives.selection, monai_ceph.pacs.spool
app(sys.argv[1:])
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_other_commands_work() -> None:
    done = run("template")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("film,")


def test_the_node_says_what_to_install() -> None:
    for command in (("node", "run", "--config", "x"), ("fetch", "--config", "x", "--source", "y")):
        done = run(*command)
        assert done.returncode == 2
        assert "pip install 'monai-ceph[pacs]'" in done.stderr
