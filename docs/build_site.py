"""What the site has beside the pages in docs/: the command line, and pages that live elsewhere in the repository."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

from monai_ceph.cli import app

ROOT = Path(__file__).parents[1]
COMMAND_LINE = "reference/command-line.md"

# a page outside docs/, and where the site has it
ELSEWHERE = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/JOURNAL.md": "project/journal.md",
    "benchmarks/ROBUSTNESS.md": "project/robustness.md",
}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that docs/ does not hold."""
    files.append(File.generated(config, COMMAND_LINE, content=command_line()))
    for path, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Make the links of the repository work in the site; a file that the site lacks becomes plain text."""
    source = page.file.src_uri
    original = next((path for path, uri in ELSEWHERE.items() if uri == source), f"docs/{source}")

    def fixed(link: re.Match[str]) -> str:
        text, target = link.groups()
        path, hash_sign, anchor = target.partition("#")
        if "://" in target or not path:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(original), path))
        # old entries of the changelog name pages as they were called then
        if original == "CHANGELOG.md" or (not path.startswith("docs/") and path not in ELSEWHERE and _exists(path)):
            return text
        uri = ELSEWHERE.get(path, path.removeprefix("docs/"))
        return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(source))}{hash_sign}{anchor})"

    return LINK.sub(fixed, markdown)


def _exists(path: str) -> bool:
    return (ROOT / path).exists()


def command_line() -> str:
    """Return the reference of every command, from the same definitions as ``--help``."""
    group: Any = typer.main.get_command(app)
    parts = ["# Command line", "This page is made from the commands. `monai-ceph COMMAND --help` prints the same.", ""]
    parts += [part for name, command in group.commands.items() for part in _command(name, command)]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> list[str]:
    if hasattr(command, "commands"):
        inside = [part for sub, each in command.commands.items() for part in _command(f"{name} {sub}", each)]
        return [f"## {name}", _text(command.help), *inside]
    context = command.make_context(f"monai-ceph {name}", [], resilient_parsing=True)
    usage = " ".join(command.get_usage(context).removeprefix("Usage:").split())
    parts = [f"## {name}", f"```text\n{usage}\n```", _text(command.help)]
    for kind in ("argument", "option"):
        records = [each.get_help_record(context) for each in command.params if each.param_type_name == kind]
        rows = [f"| {_names(names)} | {_cell(meaning)} |" for names, meaning in filter(None, records)]
        if rows:
            parts.append("\n".join([f"| {kind} | meaning |", "|---|---|", *rows]))
    return parts


def _text(help_text: str | None) -> str:
    return (help_text or "").replace("\b", "").replace("\f", "").strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("[", "\\[")


def _names(record: str) -> str:
    return " ".join(f"`{word}`" if word.startswith("-") else _cell(word) for word in record.replace(",", "").split())
