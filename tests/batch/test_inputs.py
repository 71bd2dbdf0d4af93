from __future__ import annotations

import json
import os
import queue
import sqlite3
from pathlib import Path

import pytest
from fakes import save_film
from runs import Runs, found, ledger, table, uid_of, written
from samples import noise, save_grey

from monai_ceph.batch import Options, parse_formats
from monai_ceph.errors import CephError
from monai_ceph.work.options import OBJECT_FORMATS


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

    def test_nor_are_those_of_another_run(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        run.out = run.films / "first"
        formats = frozenset({"csv", "json", "overlay", "sr", "gsps"})
        assert run(formats=formats).films == 1
        run.out = run.films.parent / "second"
        assert run(formats=formats).films == 1
        assert run(run.films / "first", run.films, formats=formats).films == 1
        # a folder of that name without a ledger beside it is a folder
        save_film(run.films / "study" / "sr" / "b.dcm", 2)
        assert run(formats=formats).films == 2

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
        assert run(names="path").states == {"done": 1, "failed": 1}
        assert found(run.out) == ["\\xfc.dcm"]
        assert table(run.out / "errors.csv")[0]["film"] == "M\\xfcller.png"

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
        assert run(run.films / "disc" / "DICOMDIR", names="path").states == {"done": 1}
        (name,) = found(run.out)
        assert (run.films / "disc" / name).is_file()

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


class TestSkipped:
    """Files in a folder that may hold films and cannot be read."""

    @pytest.fixture(autouse=True)
    def a_film(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        (run.films / "sub").mkdir()
        (run.films / "sub" / "films.zip").write_bytes(b"PK\x03\x04 and more")
        (run.films / "scan.pdf").write_bytes(b"%PDF-1.7")
        (run.films / "notes.txt").write_text("no film")

    def test_are_a_line_each_and_no_film(self, run: Runs) -> None:
        for _ in range(2):
            summary = run()
            assert summary.states == {"done": 1}
            assert summary.skipped == [
                "scan.pdf: a PDF document; save it as PNG or TIFF",
                "sub/films.zip: a ZIP archive; unpack it first",
            ]
        assert table(run.out / "errors.csv") == []

    def test_are_named_by_what_tells_them_apart(self, run: Runs) -> None:
        named = run(run.films / "sub", run.films).skipped
        assert named == [
            f"{run.films}/scan.pdf: a PDF document; save it as PNG or TIFF",
            f"{run.films}/sub/films.zip: a ZIP archive; unpack it first",
        ]
        hashed = run(deidentify=True).skipped
        assert [line.partition(":")[0][:5] for line in hashed] == ["path-", "path-"]
        assert "films" not in hashed[1]

    def test_which_are_named_are_rows_with_the_reason(self, run: Runs) -> None:
        assert run(run.films / "a.dcm", run.films / "sub" / "films.zip").states == {"done": 1, "failed": 1}
        (error,) = table(run.out / "errors.csv")
        assert error == {
            "film": f"{run.films}/sub/films.zip",
            "error": "unreadable: not a readable image but a ZIP archive; unpack it first.",
        }

    def test_say_why_there_is_no_film(self, run: Runs) -> None:
        with pytest.raises(CephError, match=r"^no film in .*/sub; films.zip: a ZIP archive; unpack it first$"):
            run(run.films / "sub")

    def test_in_the_results_of_a_run_are_not_mentioned(self, run: Runs) -> None:
        run.out = run.films / "out"
        run()
        (run.out / "json" / "all.zip").write_bytes(b"PK\x03\x04 and more")
        assert len(run().skipped) == 2

    def test_behind_a_url(self, run: Runs) -> None:
        summary = run(Path(f"file:/{run.films}"))
        assert summary.states == {"done": 1}
        assert [line.rpartition("/")[2] for line in summary.skipped] == [
            "scan.pdf: a PDF document; save it as PNG or TIFF",
            "films.zip: a ZIP archive; unpack it first",
        ]


class TestNames:
    @pytest.fixture(autouse=True)
    def a_film(self, run: Runs) -> None:
        save_film(run.films / "DOE^JOHN" / "a.dcm", 1)
        (run.films / "DOE^JOHN" / "b.dcm").write_text("no film")

    def test_with_uid_are_those_of_dicom_films(self, run: Runs) -> None:
        run()
        uid = uid_of(run.films / "DOE^JOHN" / "a.dcm")
        assert found(run.out) == [uid]
        # one without a readable UID must be found, too
        assert table(run.out / "errors.csv")[0]["film"] == "DOE^JOHN/b.dcm"
        assert json.loads((run.out / "json" / f"{uid}.json").read_text())["file"] == uid

    def test_without_a_uid_they_are_found_by_their_place(self, run: Runs) -> None:
        """Below the folder that was named; as they were named where there are several, or files."""
        film, beside = run.films / "DOE^JOHN" / "b.dcm", run.films / "c.dcm"
        beside.write_text("no film")

        def files(*paths: Path, **options: bool) -> list[str]:
            run(*paths, restart=True, **options)
            return [row["film"] for row in table(run.out / "errors.csv")]

        assert files(run.films) == ["c.dcm", "DOE^JOHN/b.dcm"]
        assert files(film) == [str(film)]
        assert files(film.parent, beside) == [str(film), str(beside)]
        assert [name[:5] for name in files(run.films, deidentify=True)] == ["path-", "path-"]

    def test_a_film_that_killed_its_process_before_its_uid_was_read(self, run: Runs) -> None:
        run()
        with sqlite3.connect(run.out / "run.sqlite") as ledger:
            query = "UPDATE films SET state = NULL, frame = 0, attempts = 2, name = 'path-0' WHERE state = 'failed'"
            assert ledger.execute(query).rowcount == 1
        ledger.close()
        run()
        (error,) = table(run.out / "errors.csv")
        assert error == {"film": "DOE^JOHN/b.dcm", "error": "failed: the process died twice while working on it"}

    def test_are_paths_below_the_folder_by_default(self, run: Runs) -> None:
        assert Options().names == "path"
        run(names="path")
        assert found(run.out) == ["DOE^JOHN/a.dcm"]
        assert table(run.out / "errors.csv")[0]["film"] == "DOE^JOHN/b.dcm"
        assert written(run.out) == {"json/a.dcm.json"}
        assert ledger(run.out, "name") == [("DOE^JOHN/a.dcm",), ("DOE^JOHN/b.dcm",)]

    def test_of_a_single_film_is_the_path_as_given(self, run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(run.films)
        run(Path("DOE^JOHN") / "a.dcm", names="path")
        assert found(run.out) == ["DOE^JOHN/a.dcm"]

    def test_tell_films_of_two_runs_apart(self, run: Runs) -> None:
        """Two folders have a film under the same path: the second film gets a longer name, in every later run too."""
        other = run.films.parent / "other"
        save_film(other / "DOE^JOHN" / "a.dcm", 3)
        run(names="path")
        for options in ({}, {"recipe": "1"}):
            run(other, names="path", **options)
            assert found(run.out) == ["DOE^JOHN/a.dcm", str(other / "DOE^JOHN" / "a.dcm")]
        run(names="path", recipe="1")
        assert found(run.out) == ["DOE^JOHN/a.dcm", str(other / "DOE^JOHN" / "a.dcm")]

    def test_of_frames_have_a_number(self, run: Runs) -> None:
        save_film(run.films / "x" / "several.dcm", 4, frames=2)
        other = run.films.parent / "other"
        save_film(other / "x" / "several.dcm", 5, frames=2)
        run(names="path")
        run(other, names="path")
        names = ["x/several.dcm", str(other / "x" / "several.dcm")]
        assert found(run.out)[1:] == [f"{name}#{number}" for name in names for number in (1, 2)]

    def test_with_deidentify_are_new_uids(self, run: Runs) -> None:
        save_grey(run.films / "c.png", noise(64, 48))
        formats = parse_formats(["all"])
        run(deidentify=True, formats=formats)
        uid = uid_of(run.films / "DOE^JOHN" / "a.dcm")
        other, new = found(run.out)
        assert new.startswith("2.25.")
        (error,) = table(run.out / "errors.csv")
        assert error["film"].startswith("path-")
        assert len(error["film"]) == len("path-") + 12
        assert other.startswith("path-")
        # a picture only where the film denies that it shows who it is; DICOM results only of DICOM films
        pictures = {f"overlays/{new}.png", f"tracings/{new}.png", f"tracings/{new}.svg"}
        objects = {f"{kind}/{new}.dcm" for kind in OBJECT_FORMATS & formats}
        resources = {f"fhir/{new}.json"} if "fhir" in formats else set()
        markups = {f"markups/{name}.mrk.json" for name in (new, other)}
        files = {f"json/{new}.json", f"json/{other}.json", *pictures, *objects, *resources, *markups}
        assert written(run.out) == files
        for file in (*map(run.out.joinpath, files), run.out / "run.sqlite", run.out / "landmarks.csv"):
            assert uid.encode() not in file.read_bytes()
        assert uid_of(run.out / "sr" / f"{new}.dcm") not in (uid, new)
        assert json.loads((run.out / "json" / f"{other}.json").read_text())["warnings"][-1].startswith("No picture: ")
