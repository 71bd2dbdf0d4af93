"""Tests skip, and do not fail, if the machine lacks what they need, and the end of the run says so."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path.name.startswith(("test_", "conftest")))
# tests import each other's helpers, and scripts of benchmarks, by their bare names
HELPERS = {path.stem: path for folder in ("benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")}
# the extra that a file needs if it skips without this module
GUARDS = {
    "pynetdicom": "pacs",
    "monailabel": "label",
    "itkwasm_dicom_wasi": "viewer-tests",
    "fhir": "fhir",
    "selenium": "node-tests",
    "reportlab": "report",
    "schemathesis": "node-tests",
}


@cache
def installed_with(*extras: str) -> frozenset[str]:
    """The distributions that pip installs for monai-ceph[dev] and these extras."""
    seen: set[tuple[str, str]] = set()
    todo = [("monai-ceph", extra) for extra in ("", "dev", *extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            needs = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue
        for need in needs:
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(need.name), part) for part in ("", *need.extras)]
    return frozenset(name for name, _ in seen)


distributions = cache(packages_distributions)


def is_there(module: str, guards: set[str]) -> bool:
    """Return whether a module can be imported on a machine that has the modules that the file checks for."""
    names = {canonicalize_name(name) for name in distributions().get(module, ())}
    extras = sorted(GUARDS[guard] for guard in guards if guard in GUARDS)
    # where it is not installed, the end of this file's collection shows whether the guard is the right one
    return module in guards or (not names.isdisjoint(installed_with(*extras)) if names else bool(guards))


@cache
def source_of(module: str) -> Path | None:
    """Return our own file that defines a module, or None."""
    base = ROOT.joinpath(*module.split("."))
    files = (base.with_suffix(".py"), base / "__init__.py", HELPERS.get(module, base))
    return next((file for file in files if file.is_file()), None)


@cache
def statements(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text()).body


def imported(statement: ast.stmt) -> Iterator[str]:
    """The modules that a statement at the top of a file imports; in a `try` or an `if` they are optional."""
    if isinstance(statement, ast.Import):
        for name in statement.names:
            yield name.name
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        yield statement.module
        # a name may be a module of ours, too
        yield from (f"{statement.module}.{name.name}" for name in statement.names)


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    return tuple(other for statement in statements(path) for other in imported(statement))


@cache
def foreign(module: str) -> frozenset[str]:
    """The third-party packages that importing a module takes, through our own files."""
    todo, seen, found = [module], set(), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            todo.append(parent)
        if path := source_of(name):
            todo += imports_of(path)
        elif not parent and name not in sys.stdlib_module_names:
            found.add(name)
    return frozenset(found - {"monai_ceph"})


def guard_of(statement: ast.stmt) -> str | None:
    """The module of ``pytest.importorskip("module")``."""
    match statement:
        case (
            ast.Expr(value=ast.Call(func=ast.Attribute(attr="importorskip"), args=[ast.Constant(value=str(name))]))
            | ast.Assign(value=ast.Call(func=ast.Attribute(attr="importorskip"), args=[ast.Constant(value=str(name))]))
        ):
            return name
    return None


@pytest.mark.parametrize("path", TESTS, ids=[str(path.relative_to(ROOT)) for path in TESTS])
def test_a_file_skips_before_it_imports_what_an_extra_brings(path: Path) -> None:
    guards: set[str] = set()
    unguarded = []
    for statement in statements(path):
        if guard := guard_of(statement):
            guards.add(guard)
        packages = sorted({package for module in imported(statement) for package in foreign(module)})
        unguarded += [f"{statement.lineno}: {name}" for name in packages if not is_there(name, guards)]
    assert unguarded == []


def test_the_end_of_a_run_says_how_many_skipped_and_why(tmp_path: Path) -> None:
    (tmp_path / "test_whole.py").write_text(
        "import pytest\npytest.importorskip('nowhere_to_be_found', reason='nowhere is not installed')\n"
    )
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.skipif(True, reason='no GPU')\n@pytest.mark.parametrize('i', [1, 2])\ndef test_marked(i): pass\n"
        "def test_called(): pytest.skip('nowhere is not installed')\n"
        "def test_passes(): pass\n"
    )
    plugins = [word for name in ("xdist", "skip_summary", "no:cacheprovider") for word in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", "2"]
    # options of the run that this test is part of
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(ROOT / "tests")
    # each of three processes would import all that is installed
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    *_, title, first, second, last = run.stdout.splitlines()
    assert title.strip("= ") == "skipped: 3 tests and 1 whole file"
    assert first == "2 tests: no GPU"
    assert second == "1 test and 1 whole file: nowhere is not installed"
    assert last.startswith("1 passed, 4 skipped in ")
