"""Names of any letters under a locale that has none of them: nothing ends with a traceback."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "Müller Łucja"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locale")


def command(place: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a job without a locale does, with Python's own remedy turned off."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "monai_ceph", *arguments]
    return subprocess.run(words, cwd=place, env=environment, capture_output=True, timeout=600, check=False)


def said(done: subprocess.CompletedProcess[bytes], code: int = 0) -> str:
    text = (done.stdout + done.stderr).decode("ascii")
    assert done.returncode == code, text
    assert "Traceback" not in text
    return text


@pytest.fixture(scope="module")
def films(place: Path) -> Path:
    """Two phantoms, one of which has a name that the locale lacks."""
    said(command(place, "phantom", NAME, "--count", "2", "--format", "png"))
    folder = place / NAME
    (folder / "001.png").rename(folder / f"{NAME}.png")
    table = folder / "landmarks.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("001.png", f"{NAME}.png"), encoding="utf-8")
    return folder


def test_phantom(films: Path) -> None:
    assert {path.name for path in films.iterdir()} == {f"{NAME}.png", "002.png", "landmarks.csv"}


def test_detect(films: Path, place: Path) -> None:
    (films / f"{NAME}.zip").write_bytes(b"PK\x03\x04 and more")
    command_line = ("detect", NAME, f"{NAME}.dcm", "--out", f"{NAME} out", "--device", "cpu", "--formats", "csv,json")
    text = said(command(place, *command_line), 1)
    out = place / f"{NAME} out"
    assert {path.name for path in (out / "json").iterdir()} == {"002.png.json", f"{NAME}.png.json"}
    with (out / "landmarks.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["film"] for row in csv.DictReader(stream)} == {f"{NAME}/002.png", f"{NAME}/{NAME}.png"}
    assert (out / "errors.csv").read_text(encoding="utf-8").splitlines()[1:] == [
        f"{NAME}.dcm,unreadable: no such file."
    ]
    shown = NAME.encode("ascii", "backslashreplace").decode()
    assert f"{shown}.dcm: no such file or folder" in text
    assert f"skipped: {shown}/{shown}.zip: a ZIP archive; unpack it first" in text
    assert f"Written to {shown} out: landmarks.csv, measurements.csv, errors.csv" in text


def test_evaluate(films: Path, place: Path) -> None:
    figures = f"{NAME}.json"
    done = command(place, "evaluate", NAME, "--method", "global", "--device", "cpu", "--json", figures)
    assert "all 2 films" in said(done)
    assert (place / figures).is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "Łucja"),
        ("detect", "Łucja", "--out", "ü"),
        ("Łucja",),
        ("phantom", "ü/ü.png/ü"),
    ],
    ids=lambda words: " ".join(words).encode("ascii", "backslashreplace").decode(),
)
def test_mistakes_are_sentences(place: Path, arguments: tuple[str, ...]) -> None:
    (place / "ü").mkdir(exist_ok=True)
    (place / "ü" / "ü.png").touch()
    said(command(place, *arguments), 2)
