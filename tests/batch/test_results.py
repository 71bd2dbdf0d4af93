"""Nothing in a folder of results is written over or removed that no run wrote, or that was changed since."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import save_film
from runs import Runs, found, table, uid_of, written
from samples import noise, save_grey

from monai_ceph.batch import results
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.work.names import key_of

MINE = "film,landmark\nof a person,1\n"


@pytest.fixture(autouse=True)
def two_films(run: Runs) -> None:
    save_film(run.films / "a.dcm", 1)
    save_film(run.films / "b.dcm", 2)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the ledger, which a refused run may open."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(("run.sqlite", ".run.")))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def no_detector() -> Any:
    raise AssertionError("the model was loaded")


class TestAPersonsFile:
    @pytest.mark.parametrize(
        "name",
        [
            *("landmarks.csv", "measurements.csv", "errors.csv", "duplicates.csv", "landmarks.parquet"),
            "measurement_definitions.json",
        ],
    )
    @pytest.mark.parametrize("options", [{}, {"restart": True}])
    def test_in_the_place_of_a_table(
        self, run: Runs, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
    ) -> None:
        (run.films / name).write_text(MINE)
        run.out = run.films
        before = contents(run.films)
        monkeypatch.setattr("runs.FakeDetector", lambda *args, **kwargs: no_detector())
        with pytest.raises(CephError, match=rf"films/{name}: was not written by an earlier run; move it, or") as e:
            run(formats=frozenset({"csv", "json", "parquet"}), **options)
        assert not isinstance(e.value, StoppedError)
        assert contents(run.films) == before
        assert {path.name for path in run.films.iterdir()} == {"a.dcm", "b.dcm", name}

    def test_is_no_obstacle_if_no_run_writes_there(self, run: Runs) -> None:
        (run.films / "landmarks.csv").write_text(MINE)
        run.out = run.films
        assert run(formats=frozenset({"parquet"})).states == {"done": 2}
        assert (run.films / "landmarks.csv").read_text() == MINE

    @pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
    def test_of_another_kind(self, run: Runs, make: Callable[[Path], None]) -> None:
        run.out.mkdir()
        make(run.out / "errors.csv")
        with pytest.raises(CephError, match=r"errors\.csv: was not written by an earlier run"):
            run()

    @pytest.mark.parametrize("folder", ["json", "overlays", "sr", "gsps"])
    def test_under_the_name_of_a_film_makes_the_film_take_another(self, run: Runs, folder: str) -> None:
        uid = uid_of(run.films / "a.dcm")
        suffix = {"json": "json", "overlays": "png"}.get(folder, "dcm")
        mine = run.out / folder / f"{uid}.{suffix}"
        mine.parent.mkdir(parents=True)
        mine.write_text(MINE)
        for options in ({}, {"recipe": "1"}, {"restart": True}):
            assert run(formats=frozenset({"csv", "json", "overlay", "sr", "gsps"}), **options).states == {"done": 2}
            assert mine.read_text() == MINE
            assert found(run.out)[0] == uid
            others = {name for name in written(run.out) if uid in name} - {f"{folder}/{uid}.{suffix}"}
            assert {name.partition("/")[0] for name in others} == {"json", "overlays", "sr", "gsps"}
            assert len({name.partition("/")[2].rpartition(".")[0] for name in others}) == 1
            assert len(others) == 4

    def test_that_comes_while_the_run_is_on(self, run: Runs) -> None:
        def come(name: str, outcome: object) -> None:
            (run.out / "landmarks.csv").write_text(MINE)

        with pytest.raises(StoppedError, match=r"landmarks\.csv: appeared or was changed during the run"):
            run(on_film=come)
        assert (run.out / "landmarks.csv").read_text() == MINE
        (run.out / "landmarks.csv").unlink()
        assert run().before == 2
        assert len(found(run.out)) == 2

    def test_that_is_called_as_the_ledger(self, run: Runs) -> None:
        run.out.mkdir()
        database = sqlite3.connect(run.out / "run.sqlite")
        database.execute("CREATE TABLE mine (x)")
        database.execute("PRAGMA user_version = 2")
        database.commit()
        database.close()
        before = (run.out / "run.sqlite").read_bytes()
        for restart in (False, True):
            with pytest.raises(
                CephError, match=r"run\.sqlite: damaged, or not a ledger; choose another folder with --out"
            ):
                run(restart=restart)
        assert (run.out / "run.sqlite").read_bytes() == before


class TestACorrectedFile:
    @pytest.mark.parametrize("options", [{}, {"recipe": "1"}, {"restart": True}])
    @pytest.mark.parametrize("which", ["landmarks.csv", "errors.csv", "json/"])
    def test_is_refused_before_the_model_is_loaded(
        self, run: Runs, monkeypatch: pytest.MonkeyPatch, which: str, options: dict[str, Any]
    ) -> None:
        run()
        file = next(run.out / name for name in sorted(contents(run.out)) if name.startswith(which))
        file.write_text(file.read_text() + "corrected")
        before = contents(run.out)
        monkeypatch.setattr("runs.FakeDetector", lambda *args, **kwargs: no_detector())
        with pytest.raises(CephError, match=rf"{file.name}: was changed since a run wrote it; move it, or"):
            run(**options)
        assert contents(run.out) == before

    def test_of_the_same_size(self, run: Runs) -> None:
        run()
        text = (run.out / "landmarks.csv").read_text()
        (run.out / "landmarks.csv").write_text(text.replace("ok", "OK"))
        with pytest.raises(CephError, match=r"landmarks\.csv: was changed"):
            run()

    def test_once_moved_is_in_nobodys_way(self, run: Runs) -> None:
        run()
        (run.out / "landmarks.csv").write_text(MINE)
        (run.out / "landmarks.csv").rename(run.out / "mine.csv")
        assert run().before == 2
        assert len(found(run.out)) == 2
        assert (run.out / "mine.csv").read_text() == MINE

    def test_while_the_run_is_on(self, run: Runs) -> None:
        """It stays, and the film that is detected again gets another file."""
        run()
        uid = uid_of(run.films / "b.dcm")
        mine = run.out / "json" / f"{uid}.json"
        # more than are worked on at a time, so that b is not begun when a ends
        for name in ("a2", "a3"):
            save_grey(run.films / f"{name}.png", noise(64, 48))
        run(recipe="1", on_film=lambda name, outcome: mine.write_text(MINE))
        assert mine.read_text() == MINE
        assert found(run.out)[1] == uid
        assert sorted(name for name in written(run.out) if uid in name) == [
            f"json/{uid}-{key_of(run.films / 'b.dcm')[:12]}.json",
            f"json/{uid}.json",
        ]

    def test_one_that_was_only_copied_is_none(self, run: Runs) -> None:
        run()
        before = contents(run.out)
        shutil.copytree(run.out, run.out.with_name("copy"), copy_function=shutil.copyfile)
        run.out = run.out.with_name("copy")
        assert run().before == 2
        assert contents(run.out) == before
        times = sqlite3.connect(run.out / "run.sqlite").execute("SELECT path, mtime_ns FROM files").fetchall()
        assert {path: (run.out / path).stat().st_mtime_ns for path, _ in times} == dict(times)

    def test_restart_removes_all_that_is_as_it_was(self, run: Runs) -> None:
        run(formats=frozenset({"csv", "parquet", "json"}))
        (run.films / "a.dcm").unlink()
        run(formats=frozenset({"csv"}), restart=True)
        assert contents(run.out).keys() == {"landmarks.csv", "measurements.csv", "errors.csv", "duplicates.csv"}


class TestKilled:
    """At any moment: the next run knows its own files, and a correction is one all the same."""

    @pytest.fixture(params=["before", "after"])
    def die(self, request: pytest.FixtureRequest, run: Runs) -> Callable[..., int]:
        move = results._move

        def die(at: int, **options: Any) -> int:
            """Run in another process that ends just before or after a file takes its place; return its exit status."""
            child = os.fork()
            if child:
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            moves = iter(range(at))

            def move_and_die(source: Path, target: Path) -> None:
                last = next(moves) == at - 1
                if last and request.param == "before":
                    os._exit(9)
                move(source, target)
                if last:
                    os._exit(9)

            results._move = move_and_die
            try:
                run(**options)
            finally:
                os._exit(0)

        return die

    # two films with a file each, then landmarks, errors and duplicates
    @pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
    def test_the_first_run(self, run: Runs, die: Callable[..., int], at: int) -> None:
        assert die(at) == 9
        assert run().states == {"done": 2}
        names = [uid_of(run.films / f"{name}.dcm") for name in "ab"]
        assert found(run.out) == names
        assert written(run.out) == {f"json/{name}.json" for name in names}
        assert not (run.out / ".run.unfinished").exists()

    @pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
    def test_a_run_that_replaces_files(self, run: Runs, die: Callable[..., int], at: int) -> None:
        run()
        (run.films / "bad.png").write_text("no image")
        assert die(at, recipe="1") == 9
        assert run(recipe="1").states == {"done": 2, "failed": 1}
        assert len(found(run.out)) == len(written(run.out)) == 2
        assert len(table(run.out / "errors.csv")) == 1
        assert run(recipe="1").before == 3

    @pytest.mark.parametrize("at", [3, 4, 5])
    def test_and_then_corrected(self, run: Runs, die: Callable[..., int], at: int) -> None:
        run()
        (run.films / "bad.png").write_text("no image")
        assert die(at, recipe="1") == 9
        name = ["landmarks.csv", "errors.csv", "duplicates.csv"][at - 3]
        (run.out / name).write_text(MINE)
        with pytest.raises(CephError, match=rf"{name}: was changed since a run wrote it"):
            run(recipe="1")
        assert (run.out / name).read_text() == MINE


def test_results_of_an_earlier_version_are_left_alone(run: Runs) -> None:
    """Its ledger has no hashes, so that nobody knows what was corrected."""
    run()
    database = sqlite3.connect(run.out / "run.sqlite")
    database.execute("DROP TABLE files")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    before = contents(run.out)
    for restart in (False, True):
        with pytest.raises(
            CephError,
            match=r"run\.sqlite: a ledger of another version of the software; choose another folder with --out",
        ):
            run(restart=restart)
    assert contents(run.out) == before


def test_a_folder_that_is_a_link_to_another_disk(run: Runs, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    folder = other / f"json-{os.getpid()}"
    folder.mkdir()
    try:
        run.out.mkdir()
        (run.out / "json").symlink_to(folder)
        assert run().states == {"done": 2}
        assert len(list(folder.iterdir())) == 2
        assert run().before == 2
    finally:
        shutil.rmtree(folder)
