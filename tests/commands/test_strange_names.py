"""Names of files that a spreadsheet computes or a terminal obeys, and who may read the results."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.datasets.table import rows

NAMES = ["=1+1.dcm", "@cmd.dcm", "red\x1b[31m\x9b1m.dcm", "plain.dcm", os.fsdecode(b"b\xe9.dcm")]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, dicom: Path) -> tuple[Path, str]:
    """The results of a run whose films are all refused, which needs no detection, and what was printed."""
    folder = tmp_path_factory.mktemp("strange")
    for name in NAMES:
        shutil.copy(dicom, folder / name)
    (folder / "-broken.dcm").write_bytes(dicom.read_bytes()[:3000])
    before = os.umask(0o022)
    try:
        out = folder / "out"
        run = CliRunner().invoke(
            app, ["detect", str(folder), "--out", str(out), "--device", "cpu", "--formats", "csv,sr,gsps,json"]
        )
    finally:
        os.umask(before)
    return out, run.output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_no_cell_is_a_formula(done: tuple[Path, str]) -> None:
    out, _ = done
    cells = [cell for path in out.glob("*.csv") for row in table(path) for cell in row.values()]
    assert any(cell == "'=1+1.dcm" for cell in cells)
    assert any(cell == "'-broken.dcm" for cell in cells)
    assert [cell for cell in cells if cell[:1] in ("=", "@") or "\x1b" in cell or "\x9b" in cell] == []
    # and what reads the table gets the names again
    assert "-broken.dcm" in {row["film"] for _, row in rows(out / "errors.csv", required=("film",), once=())}


def test_the_terminal_gets_no_control_character(done: tuple[Path, str]) -> None:
    _, output = done
    assert "red\\x1b[31m\\x9b1m.dcm" in output
    assert not {"\x1b", "\x9b"} & set(output)


def test_a_name_that_is_not_utf_8_is_no_damage(done: tuple[Path, str]) -> None:
    out, output = done
    assert "b\\xe9.dcm" in output + (out / "duplicates.csv").read_text()
    assert [row["film"] for row in table(out / "errors.csv")] == ["'-broken.dcm"]


def test_only_the_owner_may_read_the_results(done: tuple[Path, str]) -> None:
    out, _ = done
    files = [out, *out.rglob("*")]
    assert {path.suffix for path in files} >= {".csv", ".dcm", ".json"}
    assert [path for path in files if path.stat().st_mode & 0o077] == []
