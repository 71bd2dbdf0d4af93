"""A run that has nothing to do makes no detector, and never takes a film for unchanged that is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeDetector, no_weights, save_film
from runs import Runs, ledger, table

from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.errors import CephError
from monai_ceph.work.ray_connection import finds_a_cluster


@pytest.fixture
def films(run: Runs) -> Runs:
    for seed, name in enumerate(("a", "reject", "explode", "doubt")):
        save_film(run.films / f"{name}.dcm", seed)
    return run


def detect(
    run: Runs,
    make: Callable[[], FakeDetector] | None = None,
    fingerprint: str | None = "1",
    recipe: str = "0",
    **options: Any,
) -> Summary:
    run.log.unlink(missing_ok=True)
    calls = {name: options.pop(name) for name in ("on_film", "on_step", "make_executor") if name in options}
    settings = Options(frozenset({"csv", "json"}), **options)
    make = make or partial(FakeDetector, run.log, recipe=recipe)
    return detect_films([run.films], run.out, make, settings, fingerprint=lambda: fingerprint, **calls)


def never() -> FakeDetector:
    raise AssertionError("a detector was made")


def ended(run: Runs) -> dict[str, str]:
    return {Path(name).name: state for name, state in ledger(run.out, "name, state")}


STATES = {"a.dcm": "done", "reject.dcm": "rejected", "explode.dcm": "failed", "doubt.dcm": "uncertain"}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_detector_is_made(films: Runs, workers: int) -> None:
    detect(films)
    tables = {name: (films.out / name).read_text() for name in ("landmarks.csv", "errors.csv")}
    names: list[tuple[str, object]] = []
    steps: list[str] = []
    summary = detect(
        films,
        never,
        workers=workers,
        on_film=lambda name, outcome: names.append((Path(name).name, outcome)),
        on_step=steps.append,
    )
    assert (summary.films, summary.before, summary.seconds) == (4, 4, 0.0)
    assert sorted(names) == sorted((name, None) for name in STATES)
    assert ended(films) == STATES
    assert {name: (films.out / name).read_text() for name in tables} == tables
    assert steps == ["looking for films"]


def test_nor_an_executor_on_other_machines(films: Runs) -> None:
    detect(films)
    assert detect(films, never, make_executor=pytest.fail).before == 4


@pytest.mark.parametrize("fingerprint", ["2", None])
def test_another_fingerprint_makes_one(films: Runs, fingerprint: str | None) -> None:
    detect(films)
    with pytest.raises(CephError, match="no such file"):
        detect(films, no_weights, fingerprint)
    assert detect(films, fingerprint=fingerprint).before == 4
    assert films.seen() == []


def test_it_is_made_for_what_is_new(films: Runs) -> None:
    detect(films)
    save_film(films.films / "new.dcm", 9)
    steps: list[str] = []
    assert detect(films, on_step=steps.append).before == 4
    assert films.seen() == ["new.dcm"]
    assert steps == ["looking for films", "loading the model", "detecting"]
    assert detect(films, retry_failed=True).before == 4
    assert films.seen() == ["explode.dcm"]
    assert detect(films, force=True).before == 0
    assert detect(films, never, force=True).before == 5


def test_another_model_behind_the_same_fingerprint(films: Runs) -> None:
    """As soon as it is made, it decides: also on the films that were looked at before."""
    detect(films)
    save_film(films.films / "zz.dcm", 9)
    assert detect(films, recipe="1").before == 0
    assert sorted(films.seen()) == sorted([*STATES, "zz.dcm"])
    assert {row[0] for row in ledger(films.out, "settings")} == {2}
    assert detect(films, never).before == 5


def test_a_model_that_changed_during_the_run_is_not_remembered(films: Runs) -> None:
    marks = iter("12")
    options = Options(frozenset({"csv", "json"}))
    make = partial(FakeDetector, films.log)
    detect_films([films.films], films.out, make, options, fingerprint=lambda: next(marks))
    for mark in "12":
        with pytest.raises(CephError, match="no such file"):
            detect(films, no_weights, mark)


def test_a_model_that_cannot_be_made_costs_no_results(films: Runs) -> None:
    detect(films)
    with pytest.raises(CephError, match="no such file"):
        detect(films, no_weights, restart=True)
    assert ended(films) == STATES
    assert len(table(films.out / "errors.csv")) == 2


def test_a_ledger_of_before(films: Runs) -> None:
    detect(films)
    connection = sqlite3.connect(films.out / "run.sqlite")
    connection.execute("DROP TABLE model")
    connection.close()
    assert detect(films).before == 4
    assert films.seen() == []
    assert detect(films, never).before == 4


def test_a_cluster_that_is_there_may_have_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert not finds_a_cluster(None)
    assert finds_a_cluster("auto")
    # where `ray start` leaves the address of the cluster of this machine
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:6379")
    assert finds_a_cluster(None)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "elsewhere"))
    assert not finds_a_cluster(None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert finds_a_cluster(None)
