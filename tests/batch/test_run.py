from __future__ import annotations

import csv
import json
import os
import queue
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeDetector, dies_of_loading, no_weights, save_film
from PIL import Image
from samples import noise, save_grey

from monai_ceph.batch import FORMATS, Options, Outcome, Summary, detect_films, parse_formats
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.landmarks import NUM_LANDMARKS


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def found(out: Path) -> list[str]:
    """The films in landmarks.csv, in order."""
    names = [row["file"] for row in table(out / "landmarks.csv")]
    assert names == [name for name in names[::NUM_LANDMARKS] for _ in range(NUM_LANDMARKS)]
    return names[::NUM_LANDMARKS]


def written(out: Path) -> set[str]:
    """The files of single films."""
    return {str(file.relative_to(out)) for folder in out.iterdir() if folder.is_dir() for file in folder.iterdir()}


def ledger(out: Path, columns: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(out / "run.sqlite")
    rows = connection.execute(f"SELECT {columns} FROM films ORDER BY id").fetchall()
    connection.close()
    return rows


class Runs:
    """Runs into one folder, and what each detector saw."""

    def __init__(self, root: Path) -> None:
        self.films, self.out, self.log = root / "films", root / "out", root / "log"
        self.films.mkdir()

    def __call__(self, *paths: Path, recipe: str = "0", **options: Any) -> Summary:
        self.log.unlink(missing_ok=True)
        options.setdefault("formats", frozenset({"csv", "json"}))
        calls = {name: options.pop(name) for name in ("on_film", "interrupted", "on_total") if name in options}
        return detect_films(
            paths or (self.films,),
            self.out,
            lambda: FakeDetector(self.log, recipe=recipe),
            Options(**options),
            **calls,
        )

    def seen(self) -> list[str]:
        """The files that the last run detected on."""
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def run(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def uid_of(path: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


class TestStates:
    def test_every_film_has_one(self, run: Runs) -> None:
        for name in ("a", "doubt", "reject", "explode"):
            save_grey(run.films / f"{name}.png", noise(64, 48))
        (run.films / "text.png").write_text("no image")
        summary = run(run.films, run.films / "nowhere.png")
        assert summary.states == {"done": 1, "uncertain": 1, "rejected": 1, "failed": 3}
        assert (summary.films, summary.with_landmarks, summary.in_errors) == (6, 2, 4)
        assert found(run.out) == [str(run.films / "a.png"), str(run.films / "doubt.png")]
        errors = {Path(row["file"]).name: row["error"] for row in table(run.out / "errors.csv")}
        assert errors.pop("text.png").startswith("unreadable: ")
        assert errors == {
            "explode.png": "failed: RuntimeError: out of memory",
            "reject.png": "rejected: no lateral cephalogram: every pixel has the same value",
            "nowhere.png": "unreadable: no such file.",
        }
        assert written(run.out) == {"json/a.png.json", "json/doubt.png.json"}

    def test_by_force_a_film_is_uncertain(self, run: Runs) -> None:
        save_grey(run.films / "reject.png", noise(64, 48))
        assert run(force=True).states == {"uncertain": 1}
        assert json.loads((run.out / "json" / "reject.png.json").read_text())["state"] == "uncertain"

    def test_the_json_and_the_ledger_hold_the_same(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        run()
        ((detection,),) = ledger(run.out, "detection")
        assert json.loads(detection) == json.loads(
            (run.out / "json" / f"{uid_of(run.films / 'a.dcm')}.json").read_text()
        )
        assert json.loads(detection)["seconds"].keys() == {"reading", "stage 1"}

    def test_a_device_that_breaks_stops_the_run_and_then_costs_its_film(self, run: Runs) -> None:
        for name in ("a", "break", "c"):
            save_grey(run.films / f"{name}.png", noise(64, 48))
        for _ in range(2):
            with pytest.raises(StoppedError, match="the device failed: CUDA error: an illegal memory access"):
                run()
        assert run().states == {"done": 2, "failed": 1}
        assert "died twice" in table(run.out / "errors.csv")[0]["error"]
        # the neighbour was read ahead both times and is not to blame
        assert ledger(run.out, "name, attempts")[2] == (str(run.films / "c.png"), 1)


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
            {"identify": True},
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

    def test_no_resume_forgets_all(self, run: Runs) -> None:
        run()
        (run.out / "json" / "mine.txt").write_text("of somebody else")
        (run.films / "a.dcm").unlink()
        run(resume=False)
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
        with pytest.raises(CephError, match=r"run.sqlite: damaged, or no ledger; --no-resume starts afresh"):
            run()
        assert run(resume=False).states == {"done": 2}


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
        assert table(run.out / "errors.csv")[0]["file"] == uid_of(run.films / "b.dcm")
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

    @pytest.mark.parametrize("identify", [True, False])
    def test_a_film_that_was_moved_is_done_anew_with_other_settings(self, run: Runs, identify: bool) -> None:
        save_film(run.films / "a.dcm", 1)
        run(identify=identify)
        (run.films / "a.dcm").rename(run.films / "b.dcm")
        run(identify=identify, recipe="1")
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


class TestFrames:
    @pytest.fixture
    def cine(self, run: Runs) -> Path:
        return save_film(run.films / "cine.dcm", 1, frames=3)

    def test_each_is_a_film(self, run: Runs, cine: Path) -> None:
        summary = run(formats=frozenset({"csv", "json", "parquet", "sr"}))
        assert summary.states == {"done": 3}
        uid = uid_of(cine)
        assert found(run.out) == [f"{uid}#{number}" for number in (1, 2, 3)]
        stems = [f"{uid}_{number}" for number in (1, 2, 3)]
        assert written(run.out) == {f"json/{stem}.json" for stem in stems} | {f"sr/{stem}.dcm" for stem in stems}
        detections = [json.loads((run.out / "json" / f"{stem}.json").read_text()) for stem in stems]
        assert [detection["frame"] for detection in detections] == [1, 2, 3]
        # the pixels of its own frame
        assert len({detection["landmarks"][0]["x"] for detection in detections}) == 3
        assert run(formats=frozenset({"csv", "json", "parquet", "sr"})).before == 3

    def test_a_run_goes_on_in_the_midst_of_a_file(self, run: Runs, cine: Path) -> None:
        asked = iter(range(100))
        with pytest.raises(KeyboardInterrupt):
            run(interrupted=lambda: next(asked) >= 2)
        assert len(run.seen()) == 1
        assert run().states == {"done": 3}
        assert len(run.seen()) == 2
        assert [number for (number,) in ledger(run.out, "frame")] == [1, 2, 3]

    def test_copies_are_duplicates_frame_by_frame(self, run: Runs, cine: Path) -> None:
        save_film(run.films / "copy.dcm", 1, frames=3)
        assert run().duplicates == 3
        assert len(found(run.out)) == 3

    def test_a_file_that_loses_its_frames(self, run: Runs, cine: Path) -> None:
        run()
        save_film(cine, 2)
        assert run().states == {"done": 1}
        assert written(run.out) == {f"json/{uid_of(cine)}.json"}
        save_film(cine, 3, frames=2)
        assert run().states == {"done": 2}
        assert len(written(run.out)) == len(found(run.out)) == 2


class TestInputs:
    def test_a_file_named_twice_counts_once(self, run: Runs) -> None:
        save_grey(run.films / "a.png", noise(64, 48))
        assert run(run.films, run.films / "a.png", run.films / ".." / "films").films == 1
        assert run.seen() == ["a.png"]

    def test_results_among_the_films_are_no_films(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        run.out = run.films
        formats = frozenset({"csv", "json", "overlay", "sr", "gsps"})
        for _ in range(2):
            assert run(formats=formats).films == 1
        assert len(written(run.out)) == 4
        # who names a result gets what was asked for
        uid = uid_of(run.films / "a.dcm")
        assert run(run.out / "overlays" / f"{uid}.png", formats=formats).films == 1

    def test_equal_names_get_files_of_their_own(self, run: Runs) -> None:
        for name in ("a.png", "x/a.png", "y/A.png", "y/b.png"):
            (run.films / name).parent.mkdir(exist_ok=True)
            save_grey(run.films / name, noise(64, 48))
        run()
        files = written(run.out)
        assert len({file.lower() for file in files}) == 4
        assert {"json/a.png.json", "json/b.png.json"} < files
        # whatever comes later, and in whatever order
        save_grey(run.films / "0.png", noise(64, 48))
        (run.films / "a.png").unlink()
        run(recipe="1")
        assert written(run.out) == files | {"json/0.png.json"}

    def test_a_name_that_is_not_utf_8(self, run: Runs) -> None:
        try:
            Path(os.fsdecode(os.fsencode(run.films) + b"/M\xfcller.png")).write_bytes(b"no film")
            save_film(Path(os.fsdecode(os.fsencode(run.films) + b"/\xfc.dcm")), 1)
        except OSError:
            pytest.skip("this file system takes only UTF-8 names")
        assert run(identify=True).states == {"done": 1, "failed": 1}
        assert found(run.out) == [f"{run.films}/\\xfc.dcm"]
        assert table(run.out / "errors.csv")[0]["file"] == f"{run.films}/M\\xfcller.png"

    def test_a_film_that_vanishes_before_it_is_read(self, run: Runs) -> None:
        films = [save_film(run.films / f"{name}.dcm", seed) for seed, name in enumerate("abcd")]

        def remove(name: str, outcome: object) -> None:
            films[3].unlink(missing_ok=True)

        assert run(*films, on_film=remove).states == {"done": 3, "failed": 1}
        assert table(run.out / "errors.csv")[0]["error"] == "unreadable: no such file."
        # when it is back, the error is history
        save_film(films[3], 3)
        assert run(*films).states == {"done": 4}
        assert table(run.out / "errors.csv") == []

    def test_an_error_of_a_missing_file_lasts_one_run(self, run: Runs) -> None:
        film = save_film(run.films / "a.dcm", 1)
        for _ in range(2):
            assert run(film, run.films / "b.dcm").states == {"done": 1, "failed": 1}
        assert run(film).states == {"done": 1}
        assert table(run.out / "errors.csv") == []

    def test_a_dicomdir_names_the_files_beside_it(self, run: Runs) -> None:
        from pydicom.fileset import FileSet

        files = FileSet()
        files.add(save_film(run.films / "a.dcm", 1))
        files.write(run.films / "disc")
        assert run(run.films / "disc" / "DICOMDIR", identify=True).states == {"done": 1}
        (name,) = found(run.out)
        assert Path(name).is_relative_to(run.films / "disc")
        assert Path(name).exists()

    def test_the_number_of_files_is_told(self, run: Runs) -> None:
        for seed in range(3):
            save_film(run.films / f"{seed}.dcm", seed)
        told: queue.Queue[int] = queue.Queue()
        run(on_total=told.put)
        assert told.get(timeout=60) == 3

    def test_no_film_at_all(self, run: Runs) -> None:
        (run.films / "readme.txt").write_text("no film")
        with pytest.raises(CephError, match=r"no film in .*films"):
            run()
        assert not run.out.exists()


class TestNames:
    @pytest.fixture(autouse=True)
    def a_film(self, run: Runs) -> None:
        save_film(run.films / "DOE^JOHN" / "a.dcm", 1)
        (run.films / "DOE^JOHN" / "b.dcm").write_text("no film")

    def test_of_dicom_films_are_their_uids(self, run: Runs) -> None:
        run()
        uid = uid_of(run.films / "DOE^JOHN" / "a.dcm")
        assert found(run.out) == [uid]
        (error,) = table(run.out / "errors.csv")
        assert error["file"].startswith("path-")
        assert len(error["file"]) == len("path-") + 12
        assert json.loads((run.out / "json" / f"{uid}.json").read_text())["file"] == uid

    def test_with_identify_are_their_paths(self, run: Runs) -> None:
        run(identify=True)
        assert found(run.out) == [str(run.films / "DOE^JOHN" / "a.dcm")]
        assert table(run.out / "errors.csv")[0]["file"] == str(run.films / "DOE^JOHN" / "b.dcm")
        assert written(run.out) == {"json/a.dcm.json"}

    def test_with_deidentify_are_new_uids(self, run: Runs) -> None:
        save_grey(run.films / "c.png", noise(64, 48))
        run(deidentify=True, formats=frozenset(FORMATS))
        uid = uid_of(run.films / "DOE^JOHN" / "a.dcm")
        other, new = found(run.out)
        assert new.startswith("2.25.")
        assert other.startswith("path-")
        # a picture only where the film denies that it shows who it is; DICOM results only of DICOM films
        files = {f"overlays/{new}.png", f"json/{new}.json", f"json/{other}.json", f"sr/{new}.dcm", f"gsps/{new}.dcm"}
        assert written(run.out) == files
        for file in (*map(run.out.joinpath, files), run.out / "run.sqlite", run.out / "landmarks.csv"):
            assert uid.encode() not in file.read_bytes()
        assert uid_of(run.out / "sr" / f"{new}.dcm") not in (uid, new)
        assert json.loads((run.out / "json" / f"{other}.json").read_text())["warnings"][-1].startswith("No picture: ")


class TestFormats:
    def test_an_overlay_has_the_size_of_the_film(self, run: Runs) -> None:
        save_grey(run.films / "a.png", noise(64, 48))
        run(formats=frozenset({"overlay"}))
        with Image.open(run.out / "overlays" / "a.png.png") as picture:
            assert picture.size == (48, 64)

    def test_a_given_spacing_gives_millimetres(self, run: Runs) -> None:
        save_grey(run.films / "a.png", noise(64, 48))
        run(pixel_spacing=0.125, formats=frozenset({"json"}))
        detection = json.loads((run.out / "json" / "a.png.json").read_text())
        assert (detection["pixel_spacing"], detection["spacing_source"]) == ([0.125, 0.125], "given by the user")

    @pytest.mark.parametrize(
        ("words", "formats"),
        [
            ([], {"csv", "json", "overlay"}),
            (["csv,json", "sr"], {"csv", "json", "sr"}),
            (["CSV, parquet,"], {"csv", "parquet"}),
            (["all"], set(FORMATS)),
        ],
    )
    def test_in_words(self, words: list[str], formats: set[str]) -> None:
        assert parse_formats(words) == formats

    def test_unknown_ones(self) -> None:
        with pytest.raises(CephError, match=r"--formats xml, pdf: no such format; there are csv, parquet, "):
            parse_formats(["csv,xml", "pdf"])

    def test_a_film_without_uids_has_no_dicom_results(self, run: Runs) -> None:
        import pydicom

        path = save_film(run.films / "a.dcm", 1)
        dataset = pydicom.dcmread(path)
        del dataset.StudyInstanceUID
        dataset.save_as(path)
        assert run(formats=frozenset({"sr", "json"})).states == {"done": 1}
        (name,) = written(run.out)
        warnings = json.loads((run.out / name).read_text())["warnings"]
        assert [each for each in warnings if each.startswith("No SR: ")]
        assert not (run.out / "landmarks.csv").exists()


class TestWorkers:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (no_weights, "weights.pt: no such file"),
            (dies_of_loading, r"a worker ended while it loaded the model \(exit code 7\)"),
        ],
    )
    def test_that_cannot_load_the_model(self, run: Runs, make: Callable[[], FakeDetector], message: str) -> None:
        save_film(run.films / "a.dcm", 1)
        with pytest.raises(CephError, match=message) as caught:
            detect_films([run.films], run.out, make, Options(workers=2))
        assert not isinstance(caught.value, StoppedError)
        assert not (run.out / "run.sqlite").exists()

    def test_none_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="workers"):
            Options(workers=0)


class TestOut:
    def test_a_file_in_its_place(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        run.out.touch()
        with pytest.raises(StoppedError, match=r"out: File exists"):
            run()
        assert not run.seen()

    def test_a_folder_that_cannot_be_made_stops_the_run(self, run: Runs) -> None:
        for seed in range(4):
            save_film(run.films / f"{seed}.dcm", seed)
        run.out.mkdir()
        (run.out / "json").touch()
        with pytest.raises(StoppedError, match=r"out/json"):
            run()
        assert run.seen() == []
        (run.out / "json").unlink()
        assert run().states == {"done": 4}

    def test_a_disk_that_fills_up(self, run: Runs, small_disk: tuple[Path, Callable[[int], None]]) -> None:
        run.out, resize = small_disk
        for seed in range(40):
            save_film(run.films / f"{seed:02}.dcm", seed)
        with pytest.raises(StoppedError, match=r"disk/.*(No space left on device|disk is full)"):
            run()
        first = run.seen()
        assert 0 < len(first) < 40
        assert not list(run.out.rglob("*.part"))
        for file in (run.out / "json").iterdir():
            json.loads(file.read_text())
        resize(8)
        assert run().states == {"done": 40}
        # the film that found the disk full, and the one that was read ahead
        assert len(set(first) & set(run.seen())) <= 1
        assert len(found(run.out)) == len(written(run.out)) == 40


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 400 KiB, and what makes it larger, in MiB."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted")

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}m", str(disk)], check=True)

    yield disk, resize
    subprocess.run(["umount", str(disk)], check=True)
