"""monai-ceph template: a table that a person fills in is a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from invoked import one_line, run
from samples import save_grey

from monai_ceph.datasets import folder
from monai_ceph.landmarks import NUM_LANDMARKS


def test_a_completed_template_is_a_dataset(tmp_path: Path) -> None:
    result = run("template", "a.png")
    assert result.exit_code == 0
    save_grey(tmp_path / "a.png", np.zeros((20, 20)))
    (tmp_path / "landmarks.csv").write_text(result.stdout)
    (empty,) = folder(tmp_path)
    assert np.isnan(empty.landmarks).all()
    header, *lines = result.stdout.splitlines()
    filled = [line.removesuffix(",,,") + f",{x},{x + 1},0.1" for x, line in enumerate(lines)]
    (tmp_path / "landmarks.csv").write_text("\n".join([header, *filled]) + "\n")
    (found,) = folder(tmp_path)
    assert found.landmarks.tolist() == [[x + 1, x] for x in range(NUM_LANDMARKS)]
    assert found.pixel_spacing == 0.1


def test_own_landmarks_in_the_template() -> None:
    lines = run("template", "a.png", "--landmarks", "tip,S").stdout.splitlines()
    assert lines[1:] == ["a.png,tip,tip,,,", "a.png,Sella,S,,,"]
    assert run("template", "a.png", "--landmarks", " tip, S").stdout.splitlines() == lines


def test_films_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clinic" / "b").mkdir(parents=True)
    for name in ("clinic/2.png", "clinic/1.png", "clinic/b/3.png"):
        save_grey(tmp_path / name, np.zeros((20, 20)))
    (tmp_path / "clinic" / "notes.txt").write_text("no film")
    result = run("template", "clinic", "4.png", "4.png", "--landmarks", "S")
    files = [line.split(",")[0] for line in result.stdout.splitlines()[1:]]
    assert files == ["1.png", "2.png", "b/3.png", "4.png"]
    (tmp_path / "clinic" / "landmarks.csv").write_text(run("template", "clinic").stdout)
    assert [film.name for film in folder(tmp_path / "clinic")] == ["1.png", "2.png", "b/3.png"]


def test_a_folder_without_films(tmp_path: Path) -> None:
    assert one_line(run("template", tmp_path)) == f"{tmp_path}: contains no film"


def test_a_name_with_a_comma(tmp_path: Path) -> None:
    save_grey(tmp_path / "a,b.png", np.zeros((20, 20)))
    (tmp_path / "landmarks.csv").write_text(run("template", "a,b.png").stdout)
    assert [film.name for film in folder(tmp_path)] == ["a,b.png"]


@pytest.mark.parametrize("wrong", ["tip,,S", "tip,tip"])
def test_invalid_landmark_sets_are_refused(wrong: str) -> None:
    assert "--landmarks" in one_line(run("template", "--landmarks", wrong))
