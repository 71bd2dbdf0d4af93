"""Imports between the rooms of the package run one way: commands, doors, what doors share, everything below.

A room is a folder of ``monai_ceph``, or one of its files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "monai_ceph"
DOORS = {"batch", "labelling", "pacs", "review"}
# from the top; a room that is not named here is below them all
LAYERS = ({"__main__"}, {"cli"}, {"commands"}, DOORS, {"archives", "work"})
MODULE = re.compile(r"monai_ceph\.(\w+)(?:\.\w+)*")


def modules() -> Iterator[tuple[str, Path]]:
    """Return every module of the package with its room; transforms and bundles are links to other folders."""
    for entry in sorted(PACKAGE.iterdir()):
        files = sorted(entry.rglob("*.py")) if entry.is_dir() else [entry] if entry.suffix == ".py" else []
        yield from ((entry.stem, file) for file in files)


def imported(source: str, rooms: set[str]) -> set[str]:
    """Return the rooms that a module imports: also inside functions, only for types, or by a module's name as text."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports within the package are absolute"
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        found |= {match[1] for name in names if (match := MODULE.fullmatch(name)) and match[1] in rooms}
    return found


def arrows() -> dict[str, dict[str, str]]:
    """Return which rooms each room imports, each with a file that does."""
    rooms = {room for room, _ in modules()}
    result: dict[str, dict[str, str]] = {room: {} for room in rooms}
    for room, file in modules():
        for other in imported(file.read_text(encoding="utf-8"), rooms) - {room}:
            result[room].setdefault(other, str(file.relative_to(PACKAGE)))
    return result


def layer(room: str) -> int:
    return next((number for number, rooms in enumerate(LAYERS) if room in rooms), len(LAYERS))


def faults(graph: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return imports that point up, and a circle if there is one."""
    result = [
        f"{file} imports {other}"
        for room, others in graph.items()
        for other, file in others.items()
        if layer(other) < layer(room) or {room, other} <= DOORS
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        result.append("circle: " + " -> ".join(reversed(error.args[1])))
    return result


def test_imports_point_down_only() -> None:
    graph = arrows()
    # the package was really read: these imports are known to exist
    assert {"archives", "work"} <= graph["pacs"].keys()
    assert "archives" in graph["labelling"]
    assert "readers" in graph["transforms"]
    assert faults(graph) == []


@pytest.mark.parametrize(
    ("source", "rooms"),
    [
        ("import monai_ceph.pacs.ledger", {"pacs"}),
        ("from monai_ceph.pacs import ledger", {"pacs"}),
        ("from monai_ceph import weights, __version__", {"weights"}),
        ("def late():\n    from monai_ceph.batch.run import run", {"batch"}),
        ("CLASS = 'monai_ceph.archives.archive_files.DicomWebFileSystem'", {"archives"}),
        ("'''It calls monai_ceph.pacs.ledger.'''\nimport numpy", set()),
    ],
)
def test_all_kinds_of_imports_are_seen(source: str, rooms: set[str]) -> None:
    assert imported(source, {"archives", "batch", "pacs", "weights"}) == rooms


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"archives": {"pacs": "archives/x.py"}}, ["archives/x.py imports pacs"]),
        ({"readers": {"work": "readers/x.py"}}, ["readers/x.py imports work"]),
        ({"labelling": {"batch": "labelling/x.py"}}, ["labelling/x.py imports batch"]),
        ({"pacs": {"commands": "pacs/x.py"}}, ["pacs/x.py imports commands"]),
        ({"commands": {"pacs": "commands/x.py"}, "pacs": {"work": "pacs/x.py"}}, []),
    ],
)
def test_imports_that_point_up_are_found(graph: dict[str, dict[str, str]], message: list[str]) -> None:
    assert faults(graph) == message


def test_circular_imports_are_found() -> None:
    (message,) = faults({"work": {"archives": "work/x.py"}, "archives": {"work": "archives/x.py"}})
    assert message.startswith("circle: ")
