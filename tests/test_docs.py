"""The commands in the pages exist, with all their options."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from monai_ceph.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
BATCH = (DOCS / "how-to" / "detect-a-folder.md").read_text()
# lines in blocks of commands, for cron and for systemd
COMMAND = re.compile(r"^(?:ExecStart=/\S*/|[-*\d ,/]+  )?monai-ceph (.*)$", re.MULTILINE)


def block(kind: str, text: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return found


def commands() -> list[tuple[str, str]]:
    """Yield the page and the arguments of every command in a block."""
    blocks = [(page, text) for page in PAGES for text in re.findall(r"```.*?```", page.read_text(), re.DOTALL)]
    return [(page.name, line) for page, text in blocks for line in COMMAND.findall(text)]


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_and_options_in_the_pages_exist(page: str, line: str) -> None:
    words = shlex.split(re.split(r" [>|] | >> | &$", line)[0], comments=True)
    command = typer.main.get_command(app)
    while isinstance(command, typer.core.TyperGroup):
        # review takes a folder as short for review serve
        name, *words = words if words[0] in command.commands or "serve" not in command.commands else ["serve", *words]
        command = command.commands[name]
    # raises for an unknown option or a wrong value
    command.make_context(name, words)


def test_the_test_finds_every_kind_of_command() -> None:
    found = commands()
    assert len(found) >= 12
    assert [line for page, line in found if page == "detect-a-folder.md" and "/data/" in line] == [
        "detect /data/incoming --out /data/results --formats all --workers 2 >> /var/log/monai-ceph.log 2>&1",
        "detect /data/studies --out /data/results --formats all --workers 2",
    ]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name != "reference"], ids=lambda page: page.name
)
def test_pages_are_short(page: Path) -> None:
    assert len(page.read_text().split()) <= (900 if page.name == "README.md" else 1500)


@pytest.mark.parametrize(
    "page", [ROOT / "CONTRIBUTING.md", DOCS / "explanation" / "architecture.md"], ids=lambda p: p.name
)
def test_places_in_the_repository_exist(page: Path) -> None:
    words = re.findall(r"`([\w./-]+)`", page.read_text())
    places = [
        word for word in words if word.split("/")[0] in ("monai_ceph", "bundles", "transforms", "docs", "benchmarks")
    ]
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", *(ROOT / "benchmarks").glob("*.md")], ids=str)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)", page.read_text())
    # the site makes this page from the commands
    files = [target for target in targets if "://" not in target and not target.endswith("command-line.md")]
    assert [target for target in files if not (page.parent / target).exists()] == []


def test_the_site_builds(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    # the variable silences a notice about MkDocs 2
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "--pixel-spacing" in (tmp_path / "site" / "reference" / "command-line.html").read_text()
    assert "CephalogramDetector" in (tmp_path / "site" / "reference" / "python-api.html").read_text()


def test_the_service_file_is_valid_for_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "monai-ceph.service"
    # the program need not be on this machine
    unit.write_text(block("ini", BATCH).replace("/opt/monai-ceph/bin/monai-ceph", sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    # it looks at the units of the system too
    assert [line for line in result.stderr.splitlines() if unit.name in line] == []
    assert result.returncode == 0


def test_the_service_takes_the_exit_codes_as_documented() -> None:
    """systemd does not start the service again after 0, 1, 2 and 130, but after all other codes."""
    unit = block("ini", BATCH)
    assert "SuccessExitStatus=0 1 130\n" in unit
    assert "RestartPreventExitStatus=2\n" in unit
    assert "Restart=on-failure\n" in unit
