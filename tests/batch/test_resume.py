from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import save_film
from runs import Runs, found, ledger, table, uid_of, written
from samples import noise, save_grey

from monai_ceph.batch import Outcome
from monai_ceph.errors import CephError


class TestResume:
    @pytest.fixture(autouse=True)
    def two_films(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        save_film(run.films / "b.dcm", 2)

    def test_what_is_done_is_left_alone(self, run: Runs) -> None:
        assert run().before == 0
        before = {name: (run.out / name).stat().st_mtime_ns for name in written(run.out)}
        rows = (run.out / "landmarks.csv").read_text()
        summary = run()
        assert (summary.films, summary.before) == (2, 2)
        assert run.seen() == []
        assert {name: (run.out / name).stat().st_mtime_ns for name in written(run.out)} == before
        assert (run.out / "landmarks.csv").read_text() == rows

    def test_a_new_film_comes_after_the_others(self, run: Runs) -> None:
        run()
        save_film(run.films / "0.dcm", 3)
        assert run().before == 2
        assert run.seen() == ["0.dcm"]
        assert found(run.out) == [uid_of(run.films / f"{name}.dcm") for name in "ab0"]

    def test_a_changed_file_is_done_anew_and_its_old_results_go(self, run: Runs) -> None:
        run()
        old = uid_of(run.films / "a.dcm")
        save_film(run.films / "a.dcm", 3)
        run()
        assert run.seen() == ["a.dcm"]
        names = [uid_of(run.films / f"{name}.dcm") for name in "ab"]
        assert found(run.out) == names
        assert written(run.out) == {f"json/{name}.json" for name in names}
        assert old not in names

    def test_a_changed_file_that_fails_leaves_nothing(self, run: Runs) -> None:
        run()
        (run.films / "a.dcm").write_text("no film")
        run()
        assert found(run.out) == [uid_of(run.films / "b.dcm")]
        assert written(run.out) == {f"json/{uid_of(run.films / 'b.dcm')}.json"}

    @pytest.mark.parametrize(
        "change",
        [
            {"recipe": "1"},
            {"force": True},
            {"pixel_spacing": 0.2},
            {"names": "path"},
            {"formats": frozenset({"csv", "json", "overlay"})},
        ],
    )
    def test_other_settings_do_all_anew(self, run: Runs, change: dict[str, Any]) -> None:
        run()
        run(**change)
        assert run.seen() == ["a.dcm", "b.dcm"]
        assert len(found(run.out)) == 2
        assert len(written(run.out)) == 2 * len({"json", *change.get("formats", ())} - {"csv"})

    def test_fewer_formats_leave_no_file_of_before(self, run: Runs) -> None:
        run(formats=frozenset({"csv", "json", "overlay"}))
        run(formats=frozenset({"csv", "overlay"}))
        assert {name.split("/")[0] for name in written(run.out)} == {"overlays"}

    def test_a_further_table_needs_no_detection(self, run: Runs) -> None:
        run()
        run(formats=frozenset({"csv", "json", "parquet"}))
        assert run.seen() == []
        assert (run.out / "landmarks.parquet").exists()

    def test_a_film_that_is_gone_keeps_its_results(self, run: Runs) -> None:
        run()
        names, files = found(run.out), written(run.out)
        (run.films / "a.dcm").unlink()
        assert run().films == 1
        assert run(run.films / "a.dcm", run.films / "b.dcm", recipe="0").states == {"done": 2}
        assert (found(run.out), written(run.out)) == (names, files)

    def test_restart_forgets_all(self, run: Runs) -> None:
        run()
        (run.out / "json" / "mine.txt").write_text("of somebody else")
        (run.films / "a.dcm").unlink()
        run(restart=True)
        assert run.seen() == ["b.dcm"]
        uid = uid_of(run.films / "b.dcm")
        assert found(run.out) == [uid]
        assert written(run.out) == {f"json/{uid}.json", "json/mine.txt"}

    def test_failed_films_are_tried_again_if_asked(self, run: Runs) -> None:
        save_grey(run.films / "explode.png", noise(64, 48))
        run()
        run()
        assert run.seen() == []
        assert run(retry_failed=True).states == {"done": 2, "failed": 1}
        assert run.seen() == ["explode.png"]

    def test_an_interruption_keeps_finished_films(self, run: Runs) -> None:
        def stop(name: str, outcome: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(on_film=stop)
        assert found(run.out) == [uid_of(run.films / "a.dcm")]
        assert not list(run.out.rglob("*.part"))
        assert run().before == 1
        assert run.seen() == ["b.dcm"]
        assert [attempts for (attempts,) in ledger(run.out, "attempts")] == [1, 1]

    @pytest.mark.parametrize("films", [0, 1, 2, 3, 4])
    def test_a_run_that_is_asked_to_end_finishes_the_films_at_work(self, run: Runs, films: int) -> None:
        for seed in range(3, 8):
            save_film(run.films / f"{seed}.dcm", seed)
        asked = iter(range(100))
        with pytest.raises(KeyboardInterrupt):
            # before every file, and before every film of it
            run(interrupted=lambda: next(asked) >= 2 * films)
        assert len(run.seen()) == films
        ended = [name for name, state in ledger(run.out, "name, state") if state]
        assert len(ended) == films
        assert found(run.out) == ended
        assert written(run.out) == {f"json/{name}.json" for name in ended}
        assert run().before == films
        assert len(run.seen()) == 7 - films

    def test_another_ledger_is_an_error(self, run: Runs) -> None:
        run.out.mkdir()
        (run.out / "run.sqlite").write_bytes(b"this is no ledger at all" * 100)
        for restart in (False, True):
            with pytest.raises(
                CephError, match=r"run.sqlite: damaged, or not a ledger; choose another folder with --out"
            ):
                run(restart=restart)
        assert (run.out / "run.sqlite").read_bytes() == b"this is no ledger at all" * 100


class TestDuplicates:
    def test_are_detected_once(self, run: Runs) -> None:
        for name in ("a", "b", "c"):
            save_film(run.films / f"{name}.dcm", 1)
        outcomes: list[Outcome] = []
        summary = run(on_film=lambda name, outcome: outcomes.append(outcome))
        assert (summary.states, summary.duplicates) == ({"done": 3}, 2)
        assert run.seen() == ["a.dcm"]
        uid = uid_of(run.films / "a.dcm")
        assert found(run.out) == [uid]
        assert [outcome.duplicate_of for outcome in outcomes] == [None, uid, uid]
        assert ledger(run.out, "id, duplicate_of, state") == [(1, None, "done"), (2, 1, "done"), (3, 1, "done")]
        assert run().before == 3
        assert run.seen() == []

    def test_of_a_rejected_film_are_in_one_row(self, run: Runs) -> None:
        for name in ("reject 1", "reject 2"):
            save_film(run.films / f"{name}.dcm", 1)
        assert run().states == {"rejected": 2}
        assert len(table(run.out / "errors.csv")) == 1

    def test_of_a_truncated_film_are_tried(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        save_film(run.films / "b.dcm", 1)
        whole = (run.films / "a.dcm").read_bytes()
        (run.films / "a.dcm").write_bytes(whole[:-100])
        assert run().states == {"failed": 1, "done": 1}
        assert found(run.out) == [uid_of(run.films / "b.dcm")]
        # the archive knows it by its UID all the same
        assert table(run.out / "errors.csv")[0]["film"] == uid_of(run.films / "b.dcm")
        # the damaged one is mended: it is the same image
        (run.films / "a.dcm").write_bytes(whole)
        summary = run()
        assert (summary.states, summary.duplicates) == ({"done": 2}, 1)
        assert not table(run.out / "errors.csv")

    def test_a_film_that_was_moved_is_the_same(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        run()
        (run.films / "a.dcm").rename(run.films / "b.dcm")
        assert run().duplicates == 1
        assert run.seen() == []
        assert len(found(run.out)) == 1

    @pytest.mark.parametrize("names", ["path", "uid"])
    def test_a_film_that_was_moved_is_done_anew_with_other_settings(self, run: Runs, names: str) -> None:
        save_film(run.films / "a.dcm", 1)
        run(names=names)
        (run.films / "a.dcm").rename(run.films / "b.dcm")
        run(names=names, recipe="1")
        assert run.seen() == ["b.dcm"]
        assert len(found(run.out)) == len(written(run.out)) == 1
        assert json.loads(ledger(run.out, "detection")[1][0])["model"]["recipe_sha256"] == "1"
        assert ledger(run.out, "duplicate_of, state") == [(2, "done"), (None, "done")]

    def test_stay_when_the_first_becomes_another_film(self, run: Runs) -> None:
        save_film(run.films / "b.dcm", 1)
        run()
        # found first from now on, but known last
        save_film(run.films / "a.dcm", 1)
        run()
        save_film(run.films / "b.dcm", 2)
        assert run().states == {"done": 2}
        assert sorted(found(run.out)) == sorted(uid_of(run.films / f"{name}.dcm") for name in "ab")
