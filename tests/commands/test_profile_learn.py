"""``monai-ceph profile``, and ``detect`` with what was learned."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.profiles import load_profile


def shifted(table: Path, symbol: str, right: float, down: float) -> None:
    """Correct a landmark on every film."""
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if row["symbol"] == symbol:
            row["x"], row["y"] = str(float(row["x"]) + right), str(float(row["y"]) + down)
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms on which a person puts porion elsewhere."""
    folder = tmp_path_factory.mktemp("corrected")
    write_phantoms(folder, 3, 5, file_format="png", height=1200, width=968)
    shifted(folder / "landmarks.csv", "Po", 30, 40)
    return folder


@pytest.fixture(scope="module")
def learned(corrected: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A profile from these films, and what the command said."""
    file = tmp_path_factory.mktemp("learned") / "north.yaml"
    code, said = run("profile", "learn", corrected, "--out", file, "--by", "Dr. Who", "--device", "cpu")
    assert code == 0, said
    return file, said


def test_learned_and_used(corrected: Path, learned: tuple[Path, str], tmp_path: Path) -> None:
    taught, said = learned
    file = tmp_path / "north.yaml"
    file.write_bytes(taught.read_bytes())
    porion = next(line for line in said.splitlines() if "Porion" in line)
    assert "mm lower and further forward" in porion
    profile = load_profile(file)
    assert (profile.name, profile.learned_by, profile.films, profile.films_with_scale) == ("north", "Dr. Who", 3, 3)
    assert min(profile.landmarks["Po"].forward, profile.landmarks["Po"].down) > 0

    out = tmp_path / "out"
    options = ("--formats", "csv,json", "--device", "cpu", "--force")
    code, said = run("detect", corrected / "001.png", "--out", out, "--profile", file, *options)
    assert code == 0, said
    (result,) = (json.loads(each.read_text()) for each in (out / "json").iterdir())
    assert result["profile"]["name"] == "north"
    marks = {mark["symbol"]: mark for mark in result["landmarks"]}
    step = marks["Po"]["x"] - marks["Po"]["raw_x"], marks["Po"]["y"] - marks["Po"]["raw_y"]
    assert step == pytest.approx((30, 40), abs=8)
    with (out / "landmarks.csv").open(newline="") as stream:
        assert {row["profile"] for row in csv.DictReader(stream)} == {"north"}
    with (out / "measurements.csv").open(newline="") as stream:
        assert {row["profile"] for row in csv.DictReader(stream)} == {"north"}

    # a file that a person wrote or changed is not replaced
    file.write_text(file.read_text() + "# mine\n")
    code, said = run("profile", "learn", corrected, "--out", file)
    assert code == 2
    assert "was not written by this software, or was changed since" in said


def test_updated_and_checked(corrected: Path, learned: tuple[Path, str], tmp_path: Path) -> None:
    write_phantoms(tmp_path / "more", 1, 50, file_format="png", height=1200, width=968)
    shifted(tmp_path / "more" / "landmarks.csv", "Po", 30, 40)
    file, _ = learned
    code, said = run("profile", "check", file, tmp_path / "more", "--device", "cpu")
    assert code == 0, said
    assert (
        "Profile north. It cannot be said whether the profile still fits: 1 new film is too few for the test." in said
    )
    assert next(line for line in said.splitlines() if "Porion" in line).split("│")[3].strip() == "1"

    out = tmp_path / "new.yaml"
    code, said = run("profile", "update", file, tmp_path / "more", "--out", out, "--by", "Dr. Two", "--device", "cpu")
    assert code == 0, said
    assert "Profile north. Learned from 4 films: " in said
    day = f"{load_profile(out).created:%Y-%m-%d}"
    assert f"Taught {day}: 3 films by Dr. Who; {day}: 1 film by Dr. Two." in said
    assert said.endswith(f"Written: {out}\n")
    assert (load_profile(file).films, load_profile(out).films) == (3, 4)

    # what a profile was learned from tells nothing new
    for command in ("update", "check"):
        code, said = run("profile", command, out, tmp_path / "more", "--device", "cpu")
        assert code == 2
        assert "001.png: the profile north was learned from this film already" in said


def test_one_clear_sentence(corrected: Path, tmp_path: Path) -> None:
    for arguments, sentence in (
        ((corrected, "--out", tmp_path / "a.txt"), "the name must end in .yaml"),
        ((corrected, "--out", tmp_path / "a.yaml", "--name", "a\\b"), "--name 'a\\\\b': give 1 to 64 letters"),
        ((tmp_path / "none", "--out", tmp_path / "a.yaml"), "none: no such folder"),
        ((tmp_path, "--out", tmp_path / "a.yaml"), "landmarks.csv: no such file"),
    ):
        code, said = run("profile", "learn", *arguments)
        assert (code, sentence in said) == (2, True), said
    assert not list(tmp_path.iterdir())


def test_detect_with_what_is_no_profile(corrected: Path, tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("ae_title: CEPH\n")
    code, said = run("detect", corrected, "--out", tmp_path / "out", "--profile", file)
    assert (code, "not a profile of monai-ceph: it has no profile_version" in said) == (2, True)
