"""Commands with ``--profile``: points move, and what they write names the profile; without one nothing does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from clinics import moving, profile, saved, shipped_profile
from invoked import QUICK
from invoked import run as invoke

from monai_ceph.profiles import profile_text
from monai_ceph.reports.json_result import save_json
from monai_ceph.result import Detection, ProfileIdentity

CPU = QUICK


def run(*arguments: object) -> tuple[int, str, str]:
    result = invoke(*arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the shipped weights that moves A and S a little."""
    clinic = shipped_profile(landmarks=moving(A=(0.05, 0.02), S=(0.0, -0.04)))
    return saved(tmp_path_factory.mktemp("north"), profile_text(clinic))


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_measure(phantoms: Path, north: Path, tmp_path: Path) -> None:
    films = str(phantoms / "001.png")
    code, said, error = run("measure", films, "--force", "--out", tmp_path / "m.csv", "--profile", north, *CPU)
    assert code == 0, said + error
    assert {row["profile"] for row in table(tmp_path / "m.csv")} == {"Clinic North"}


def test_measure_keeps_the_name_in_a_table_of_points(detection: Detection, tmp_path: Path) -> None:
    named = tmp_path / "landmarks.csv"
    rows = [f"film.png,{mark.symbol},{mark.x},{mark.y},0.1,Clinic North" for mark in detection.landmarks]
    named.write_text("\n".join(["film,symbol,x,y,pixel_spacing,profile", *rows]), encoding="utf-8")
    code, said, _ = run("measure", str(named))
    assert code == 0
    assert {row["profile"] for row in csv.DictReader(said.splitlines())} == {"Clinic North"}


def test_report(phantoms: Path, north: Path, tmp_path: Path) -> None:
    film, out = str(phantoms / "001.png"), tmp_path / "out"
    code, said, error = run("report", film, "--out", str(out), "--force", "--profile", str(north), *CPU)
    assert code == 0, said + error
    (page,) = (each for each in out.rglob("*.html") if each.name != "index.html")
    assert "Clinic North (learned from 12 films, " in page.read_text(encoding="utf-8")
    assert {row["profile"] for row in table(out / "results" / "landmarks.csv")} == {"Clinic North"}
    # the run knows that other points are wanted now
    code, said, error = run("report", film, "--out", str(out), "--force", *CPU)
    assert code == 0, said + error
    assert "Clinic North" not in page.read_text(encoding="utf-8")
    assert "profile" not in table(out / "results" / "landmarks.csv")[0]


def test_compare(phantoms: Path, north: Path, tmp_path: Path) -> None:
    films = [str(phantoms / f"00{number}.png") for number in (1, 2)]
    code, said, error = run("compare", *films, "--out", str(tmp_path), "--force", "--profile", str(north), *CPU)
    assert code == 0, said + error
    assert (tmp_path / "comparison.html").read_text(encoding="utf-8").count(
        "profile Clinic North (learned from 12"
    ) == 2


def test_evaluate(phantoms: Path, north: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "figures.json"
    options = ("--out", out, "--json", file, "--profile", north)
    code, said, error = run("evaluate", phantoms, *options, *CPU)
    assert code == 0, said + error
    assert "profile Clinic North (learned from 12 films, " in said
    assert json.loads(file.read_text())["profile"]["name"] == "Clinic North"
    tables = sorted(out.glob("*.csv"))
    assert len(tables) == 3
    assert {row["profile"] for each in tables for row in table(each)} == {"Clinic North"}


def test_a_profile_is_for_films(detection: Detection, north: Path, tmp_path: Path) -> None:
    result = tmp_path / "film.json"
    save_json(result, detection)
    out = ("--out", str(tmp_path / "out"))
    for command in (("measure", result), ("report", result, *out), ("compare", result, result, *out)):
        code, _, error = run(*map(str, command), "--profile", str(north))
        assert (code, error.strip()) == (
            2,
            f"monai-ceph: {result}: has its points already, and --profile is for films. Detect again with the profile",
        )
    assert not (tmp_path / "out").exists()


def test_other_weights(phantoms: Path, tmp_path: Path) -> None:
    file = str(saved(tmp_path, profile_text(profile())))
    film = str(phantoms / "001.png")
    for command in (("measure", film), ("evaluate", str(phantoms))):
        code, _, error = run(*command, "--profile", file, *CPU)
        assert code == 2
        assert "the profile Clinic North was learned with other weights (abababababab, and" in error.strip()


def test_evaluate_the_first_stage(phantoms: Path, north: Path) -> None:
    code, _, error = run("evaluate", str(phantoms), "--method", "global", "--profile", str(north))
    assert (code, "--profile and --method global exclude each other" in error.strip()) == (2, True)


def test_named_by_every_picture(detection: Detection, tmp_path: Path) -> None:
    """Text on a picture is text in the SVG, too; the PNG has the same lines below the film."""
    from samples import radiograph

    from monai_ceph.reports.film_tracing import draw_tracing, save_tracing
    from monai_ceph.reports.overlay import draw_overlay

    moved = detection.model_copy(update={"profile": ProfileIdentity(name="North", sha256="ef" * 32, films=12)})
    film = radiograph(detection.rows, detection.columns)
    save_tracing(tmp_path / "moved.svg", film, moved)
    save_tracing(tmp_path / "plain.svg", film, detection)
    assert "profile: North (learned from 12 films, efefefefefef)" in (tmp_path / "moved.svg").read_text()
    assert "profile: North" not in (tmp_path / "plain.svg").read_text()
    for draw in (draw_tracing, draw_overlay):
        # a line more below the film
        assert draw(film, moved).size[1] > draw(film, detection).size[1]
