"""What monai-ceph says of itself."""

from __future__ import annotations

import subprocess
import sys

from invoked import run

import monai_ceph


def test_help_and_version_without_torch() -> None:
    code = """
import sys
from typer.testing import CliRunner
from monai_ceph.cli import app

names = ("bundle", "detect", "evaluate", "phantom", "schema", "template")
for arguments in (["--help"], ["--version"], *([name, "--help"] for name in names)):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (arguments, result.output)
print(*sorted({"torch", "monai", "itk", "pydicom", "numpy"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""


def test_version() -> None:
    assert run("--version").stdout == f"monai-ceph {monai_ceph.__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    output = run().output
    assert all(name in output for name in ("bundle", "detect", "evaluate", "phantom", "schema", "template"))
    assert "not a medical device" in output
