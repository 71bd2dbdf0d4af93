"""monai-ceph phantom: the folder that it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from invoked import one_line, run

from monai_ceph.datasets import folder


def test_the_written_folder_is_a_dataset(tmp_path: Path) -> None:
    result = run("phantom", tmp_path / "new" / "films", "--count", "1", "--seed", "5")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "new" / "films") in result.stdout
    (found,) = folder(tmp_path / "new" / "films")
    assert found.name == "001.dcm"
    assert np.isfinite(found.landmarks).all()
    assert found.pixel_spacing == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("options", [("--count", "0"), ("--seed", "-1"), ("--seed", str(2**32)), ("--format", "jpeg")])
def test_options_that_make_no_sense(tmp_path: Path, options: tuple[str, str]) -> None:
    result = run("phantom", tmp_path / "films", *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert not (tmp_path / "films").exists()


@pytest.mark.parametrize("name", ["landmarks.csv", "002.dcm"])
def test_no_existing_file_is_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    result = run("phantom", tmp_path, "--count", "2")
    assert result.exit_code == 2
    assert one_line(result) == f"{tmp_path / name} exists already. Choose another folder"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "films").touch()
    assert one_line(run("phantom", tmp_path / "films", "--count", "1")) == f"{tmp_path / 'films'}: File exists"
