"""Importing torch and MONAI takes seconds, so commands that do not need them do not import them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_ceph import weights
from monai_ceph.cli import app
from monai_ceph.folders import BUNDLES
from monai_ceph.work.start_up import _has_only_values

# the console script; what it prints last is what was imported
PROGRAM = """
import sys
from monai_ceph.cli import run
try:
    run()
finally:
    print("imported", sorted({"torch", "monai", "ignite"} & set(sys.modules)))
"""


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    """Run a command in another process; return its output, and which of these modules it imported."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    output, _, imported = done.stdout.rpartition("imported ")
    return output, imported.strip()


@pytest.mark.parametrize("module", ["monai_ceph.readers", "monai_ceph.datasets"])
def test_imports_are_light(module: str) -> None:
    """Everything that takes long to import is imported when a file needs it."""
    heavy = {"torch", "monai", "ignite", "itk", "nibabel", "pandas", "pydicom", "scipy"}
    program = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", ["--help", "--version", "schema", "template", "detect --help", "evaluate --help"])
def test_commands_that_only_print_do_not_import_torch(arguments: str) -> None:
    output, imported = run(*arguments.split())
    assert output
    assert imported == "[]"


def test_phantom_does_not_import_torch(tmp_path: Path) -> None:
    output, imported = run("phantom", tmp_path, "--count", 1, "--format", "png")
    assert "1 phantoms and landmarks.csv" in output
    assert imported == "[]"


def detect(films: Path, out: Path, overlay: Path) -> list[str]:
    overlays = ["--config", str(BUNDLES / "overlays" / "no_expansion.json"), "--config", str(overlay)]
    return ["detect", str(films), "--out", str(out), "--formats", "csv", "--device", "cpu", "--force", *overlays]


@pytest.fixture(scope="module")
def command(film: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that has run once, with its own copy of the weights."""
    root = tmp_path_factory.mktemp("run")
    (root / "final.pt").write_bytes(Path(weights.path("local")).read_bytes())
    (root / "mine.json").write_text(json.dumps({"local_weights": str(root / "final.pt")}))
    command = detect(film, root / "out", root / "mine.json")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "1 films: 1 done" in result.stdout
    return command


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--workers", "2"),
        pytest.param(
            ("--engine", "ray"),
            marks=pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
        ),
    ],
)
def test_a_run_with_nothing_to_do_does_not_import_torch(command: list[str], options: tuple[str, ...]) -> None:
    if "ray" in options:
        # another engine may have another model: its first run asks
        run(*command, *options)
    output, imported = run(*command, *options)
    assert "1 of them were done before." in output
    assert imported == "[]"


def test_other_weights_are_noticed(command: list[str]) -> None:
    file = Path(command[3]).with_name("final.pt")
    run(*command)
    assert run(*command)[1] == "[]"
    file.write_bytes(b"no weights")
    assert run(*command, code=2)[1] == "['monai', 'torch']"


# as the console script; afterwards it imports all that inference.json imports, and what MONAI did without
DETECTION = """
import os, sys
from monai_ceph.cli import run
try:
    run()
except SystemExit as end:
    assert not end.code
import monai_ceph.training, monai_ceph.transforms
optional = {"ignite", "itk", "matplotlib", "nibabel", "pandas", "scipy", "skimage", "sympy", "tensorboard"}
print("imported", sorted(optional & set(sys.modules)), "monai" in sys.modules, os.environ["OMP_WAIT_POLICY"])
# and whoever needs them later can import them
import ignite.engine, nibabel
"""


def test_detection_imports_no_package_that_monai_needs_only_elsewhere(film: Path, tmp_path: Path) -> None:
    """MONAI's own ``__init__`` imports them all, which takes longer than a detection; the points are the same."""
    arguments = ["detect", str(film), "--out", str(tmp_path / "out"), "--formats", "csv", "--device", "cpu", "--force"]
    # a config of the user that only changes values
    (tmp_path / "values.json").write_text(json.dumps({"shifts": [0], "guide_decoder#refine": False}))
    arguments += ["--config", str(tmp_path / "values.json")]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    program = [sys.executable, "-c", DETECTION, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rpartition("imported ")[2].strip() == "[] True passive"
    result = CliRunner().invoke(app, [*arguments[:3], str(tmp_path / "here"), *arguments[4:]])
    assert result.exit_code == 0, result.output
    table = "landmarks.csv"
    assert (tmp_path / "out" / table).read_text() == (tmp_path / "here" / table).read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"description": "one $ and one %", "shifts": [0], "a": "@shifts", "guide_decoder#refine": false}', True),
        ("{}", True),
        ('{"inferer": {"_target_": "monai.inferers.SimpleInferer"}}', False),
        ('{"shifts": ["$max(@own)"], "own": [0]}', False),
        ('{"shifts": "%other.json::shifts"}', False),
        ('{"shifts": [0]', False),
        ("[" * 5000, False),
    ],
)
def test_only_configs_of_plain_values_need_no_other_part_of_monai(text: str, expected: bool, tmp_path: Path) -> None:
    for name in ("own.json", "own.yaml"):
        (tmp_path / name).write_text(text)
        assert _has_only_values(tmp_path / name) is expected
    assert not _has_only_values(tmp_path / "nowhere.json")


def test_a_waiting_policy_of_the_user_is_kept() -> None:
    call = "from monai_ceph.work.start_up import prepare_process; prepare_process()"
    program = f"import os; {call}; print(os.environ['OMP_WAIT_POLICY'])"
    environment = os.environ | {"OMP_WAIT_POLICY": "active"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "active"
