"""A new run of detect in the same folder changes no review, and says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.review.audit import faults
from monai_ceph.review.models import Point, Save, Sign
from monai_ceph.review.service import ReviewService


def detect(films: Path, out: Path, *options: Any) -> str:
    arguments = ["detect", films, "--out", out, "--formats", "csv,json", "--device", "cpu", "--force", *options]
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def signed(out: Path, films: Path, **who: Any) -> None:
    service = ReviewService(out, [films], **who)
    (found,) = service.films.all()
    points = [Point(symbol=each.symbol, x=10.5, y=20.25, source="human") for each in service.current(found).points]
    reviewer = who.get("reviewer", "Dr. Example")
    service.save(found, Save(based_on=0, reviewer=reviewer, points=tuple(points)))
    service.sign(found, Sign(based_on=1, reviewer=reviewer))
    service.close()


def content(out: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for folder in ("reviews", "readings")
        for path in (out / folder).rglob("*")
        if path.is_file() and path.suffix in (".json", ".jsonl")
    }


def test_reviews_and_readings_stay(film: Path, tmp_path: Path) -> None:
    out, films = tmp_path / "out", tmp_path / "films"
    films.mkdir()
    shutil.copyfile(film, films / "film.png")
    assert "left as" not in detect(films, out)
    signed(out, films)
    signed(out, films, reviewer="One", blind=True)
    before = content(out)
    # a revision and a signature each, with the audit and its head
    assert len(before) == 8
    for options in ((), ("--restart",)):
        said = detect(films, out, *options)
        assert f"The reviews in {out / 'reviews'} and {out / 'readings'} were left as they are." in said.replace(
            "\n", ""
        )
        assert content(out) == before
    service = ReviewService(out, [films])
    (row,) = service.worklist()
    assert (row["state"], row["revision"], row["reviewer"]) == ("final", 2, "Dr. Example")
    assert [faults(folder) for folder in (out / "reviews", *(out / "readings").iterdir())] == [[], []]
    service.close()
