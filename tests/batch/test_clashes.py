"""Files with one SOP Instance UID: copies of one image are duplicates, different images are a clash."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fakes import save_film
from pydicom.uid import RLELossless
from runs import Runs, found, ledger, table, uid_of, written

from monai_ceph.batch import Outcome, clashes
from monai_ceph.batch.clashes import CLASH_WARNING
from monai_ceph.work.names import key_of

FORMATS = frozenset({"csv", "json", "overlay", "sr", "gsps", "sc"})


def film(path: Path, seed: int = 1, patient: str | None = None, uid_of_seed: int = 1, **options: Any) -> Path:
    """A film of noise with the UID of another seed."""
    save_film(path, seed, **options)
    dataset = pydicom.dcmread(path)
    if patient is not None:
        dataset.PatientID = patient
    uid = pydicom.dcmread(save_film(path.with_suffix(".uid"), uid_of_seed)).SOPInstanceUID
    path.with_suffix(".uid").unlink()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(path)
    return path


def change(path: Path, edit: Callable[[pydicom.Dataset], Any]) -> Path:
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)
    return path


def names_of(run: Runs, *files: str) -> list[str]:
    """What the films of a clash are called."""
    return [f"{uid_of(run.films / file)}-{key_of(run.films / file)[:12]}" for file in files]


def errors(run: Runs) -> dict[str, str]:
    return {row["film"]: row["error"] for row in table(run.out / "errors.csv")}


class TestCopies:
    def test_of_the_same_bytes_have_a_row(self, run: Runs) -> None:
        for name in ("a.dcm", "b.dcm", "c.dcm"):
            film(run.films / name)
        summary = run(formats=FORMATS)
        assert (summary.states, summary.duplicates, summary.clashes, summary.in_errors) == ({"done": 3}, 2, 0, 0)
        uid = uid_of(run.films / "a.dcm")
        keys = [key_of(run.films / name) for name in ("a.dcm", "b.dcm", "c.dcm")]
        assert table(run.out / "duplicates.csv") == [
            {"film": uid, "path_sha256": key, "same_as": uid, "same_as_path_sha256": keys[0]} for key in keys[1:]
        ]
        assert not errors(run)
        assert run.seen() == ["a.dcm"]

    @pytest.mark.parametrize(
        "edit",
        [
            lambda dataset: setattr(dataset, "StudyDescription", "exported twice"),
            lambda dataset: dataset.compress(RLELossless, generate_instance_uid=False),
        ],
        ids=["another header", "another transfer syntax"],
    )
    def test_of_the_same_pixels_and_patient_are_duplicates(
        self, run: Runs, edit: Callable[[pydicom.Dataset], Any]
    ) -> None:
        film(run.films / "a.dcm", patient="P1")
        change(film(run.films / "b.dcm", patient="P1"), edit)
        outcomes: list[Outcome | None] = []
        summary = run(formats=FORMATS, on_film=lambda name, outcome: outcomes.append(outcome))
        assert (summary.states, summary.duplicates, summary.clashes) == ({"done": 2}, 1, 0)
        uid = uid_of(run.films / "a.dcm")
        assert [outcome and outcome.duplicate_of for outcome in outcomes] == [None, uid]
        assert run.seen() == ["a.dcm"]
        assert found(run.out) == [uid]
        assert written(run.out) == {f"{f}/{uid}.{s}" for f, s in {"json": "json", "overlays": "png"}.items()} | {
            f"{folder}/{uid}.dcm" for folder in ("sr", "gsps", "sc")
        }
        assert len(table(run.out / "duplicates.csv")) == 1
        assert ledger(run.out, "stem, duplicate_of") == [(uid, None), (None, 1)]
        again = run(formats=FORMATS)
        assert (again.before, again.duplicates, again.clashes) == (2, 1, 0)
        assert run.seen() == []

    def test_a_copy_with_another_header_that_comes_with_other_settings(self, run: Runs) -> None:
        """It takes the place of one that is gone, as a moved file does."""
        film(run.films / "a.dcm")
        run()
        (run.films / "a.dcm").unlink()
        change(film(run.films / "b.dcm"), lambda dataset: setattr(dataset, "StudyDescription", "moved"))
        summary = run(recipe="1")
        assert (summary.states, summary.clashes) == ({"done": 1}, 0)
        assert len(found(run.out)) == len(written(run.out)) == 1
        assert not errors(run)


class TestClashes:
    @pytest.fixture(params=["pixels", "patient"])
    def other(self, request: pytest.FixtureRequest, run: Runs) -> Callable[[], Path]:
        film(run.films / "a.dcm", patient="P1")
        options: dict[str, Any] = {"pixels": {"seed": 2, "patient": "P1"}, "patient": {"patient": "P2"}}[request.param]
        return lambda: film(run.films / "b.dcm", **options)

    def check(self, run: Runs) -> None:
        names = names_of(run, "a.dcm", "b.dcm")
        uid = uid_of(run.films / "a.dcm")
        assert found(run.out) == names
        assert errors(run) == {
            names[0]: f"clash: other pixels or another patient under the SOP Instance UID of {names[1]}",
            names[1]: f"clash: other pixels or another patient under the SOP Instance UID of {names[0]}",
        }
        assert not table(run.out / "duplicates.csv")
        # no object that an archive would put beside the wrong image
        stems = [uid, names[1]]
        assert written(run.out) == {f"json/{stem}.json" for stem in stems} | {f"overlays/{s}.png" for s in stems}
        detections = [json.loads((run.out / "json" / f"{stem}.json").read_text()) for stem in stems]
        assert [detection["file"] for detection in detections] == names
        assert [detection["image_uid"] for detection in detections] == [uid, uid]
        assert [detection["warnings"].count(CLASH_WARNING) for detection in detections] == [1, 1]
        # the ledger has no measurements, which follow from the detection
        for detection in detections:
            assert detection.pop("measurements")
        assert [json.loads(text) for (text,) in ledger(run.out, "detection")] == detections

    def test_in_one_run(self, run: Runs, other: Callable[[], Path]) -> None:
        other()
        summary = run(formats=FORMATS)
        assert (summary.states, summary.duplicates, summary.clashes) == ({"done": 2}, 0, 2)
        assert run.seen() == ["a.dcm", "b.dcm"]
        self.check(run)
        # a resumed run gives the same answer, and does nothing
        before = {file: file.read_bytes() for file in run.out.rglob("*") if file.parent != run.out}
        again = run(formats=FORMATS)
        assert (again.before, again.duplicates, again.clashes) == (2, 0, 2)
        assert run.seen() == []
        assert {file: file.read_bytes() for file in before} == before
        self.check(run)

    @pytest.mark.parametrize("gone", [False, True])
    def test_with_a_film_of_an_earlier_run(self, run: Runs, other: Callable[[], Path], gone: bool) -> None:
        assert run(formats=FORMATS).clashes == 0
        assert len(list((run.out / "sr").iterdir())) == len(list((run.out / "gsps").iterdir())) == 1
        other()
        if gone:
            (run.films / "a.dcm").rename(run.films.parent / "a.dcm")
        assert run(formats=FORMATS).clashes == (1 if gone else 2)
        assert run.seen() == ["b.dcm"]
        if gone:
            (run.films.parent / "a.dcm").rename(run.films / "a.dcm")
        self.check(run)

    def test_with_other_settings(self, run: Runs, other: Callable[[], Path]) -> None:
        other()
        for recipe in "01":
            assert run(formats=FORMATS, recipe=recipe).clashes == 2
            self.check(run)

    def test_in_an_interrupted_run(self, run: Runs, other: Callable[[], Path]) -> None:
        other()
        asked = iter(range(100))
        with pytest.raises(KeyboardInterrupt):
            run(formats=FORMATS, interrupted=lambda: next(asked) >= 2)
        assert run.seen() == ["a.dcm"]
        assert run(formats=FORMATS).clashes == 2
        assert run.seen() == ["b.dcm"]
        self.check(run)

    @pytest.mark.parametrize("at", [1, 2])
    def test_in_a_run_that_is_killed_while_it_marks_them(self, run: Runs, other: Callable[[], Path], at: int) -> None:
        other()
        child = os.fork()
        if not child:
            rewrite, calls = clashes._rewrite, iter(range(at))

            def rewrite_and_die(*arguments: Any) -> None:
                rewrite(*arguments)
                if next(calls) == at - 1:
                    os._exit(9)

            clashes._rewrite = rewrite_and_die
            try:
                run(formats=FORMATS)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert run(formats=FORMATS).clashes == 2
        self.check(run)

    def test_with_several_workers(self, run: Runs, other: Callable[[], Path]) -> None:
        from functools import partial

        from fakes import FakeDetector

        from monai_ceph.batch import Options, detect_films

        other()
        film(run.films / "c.dcm", patient="P1")
        summary = detect_films(
            [run.films], run.out, partial(FakeDetector, run.log), Options(formats=FORMATS, workers=2, names="uid")
        )
        assert (summary.states, summary.duplicates, summary.clashes) == ({"done": 3}, 1, 2)
        (row,) = table(run.out / "duplicates.csv")
        assert row["same_as"] == names_of(run, "a.dcm")[0]

    def test_copies_of_both(self, run: Runs, other: Callable[[], Path]) -> None:
        (run.films / "c.dcm").write_bytes(other().read_bytes())
        (run.films / "d.dcm").write_bytes((run.films / "a.dcm").read_bytes())
        summary = run(formats=FORMATS)
        assert (summary.states, summary.duplicates, summary.clashes) == ({"done": 4}, 2, 2)
        self_as = [row["same_as_path_sha256"] for row in table(run.out / "duplicates.csv")]
        assert self_as == [key_of(run.films / name) for name in ("b.dcm", "a.dcm")]
        assert run.seen() == ["a.dcm", "b.dcm"]

    def test_called_by_their_paths(self, run: Runs, other: Callable[[], Path]) -> None:
        other()
        assert run(names="path").clashes == 2
        assert found(run.out) == list(errors(run)) == ["a.dcm", "b.dcm"]

    def test_without_identity(self, run: Runs, other: Callable[[], Path]) -> None:
        other()
        assert run(deidentify=True).clashes == 2
        assert len(set(found(run.out))) == 2
        assert not any(uid_of(run.films / "a.dcm") in name for name in found(run.out))

    def test_ends_when_one_becomes_another_film(self, run: Runs, other: Callable[[], Path]) -> None:
        other()
        run()
        save_film(run.films / "b.dcm", 3)
        assert run().clashes == 0
        assert not errors(run)

    def test_a_rejected_film_clashes_too(self, run: Runs) -> None:
        film(run.films / "a.dcm")
        film(run.films / "reject.dcm", seed=2)
        summary = run(formats=FORMATS)
        assert (summary.states, summary.clashes) == ({"done": 1, "rejected": 1}, 2)
        assert not [name for name in written(run.out) if name.startswith(("sr", "gsps", "sc"))]
        assert [row["error"].partition(":")[0] for row in table(run.out / "errors.csv")] == [
            "clash",
            "clash",
            "rejected",
        ]

    def test_nothing_says_whose_films_they_are(self, run: Runs) -> None:
        film(run.films / "a.dcm", patient="ZYXWV1")
        film(run.films / "b.dcm", patient="ZYXWV2")
        said: list[object] = []
        run(on_film=lambda *arguments: said.append(arguments), formats=frozenset({"csv", "json", "overlay", "parquet"}))
        with sqlite3.connect(run.out / "run.sqlite") as database:
            said += database.iterdump()
        for text in (
            repr(said),
            *(file.read_bytes().decode("latin-1") for file in run.out.rglob("*") if file.is_file()),
        ):
            assert "ZYXWV" not in text


class TestFrames:
    def test_of_two_files_that_differ_in_one(self, run: Runs) -> None:
        film(run.films / "a.dcm", frames=3)

        def edit(dataset: pydicom.Dataset) -> None:
            size = len(dataset.PixelData) // 3
            dataset.PixelData = dataset.PixelData[:size] + bytes(size) + dataset.PixelData[2 * size :]

        change(film(run.films / "b.dcm", frames=3), edit)
        summary = run(formats=FORMATS)
        assert (summary.films, summary.duplicates, summary.clashes) == (6, 2, 4)
        names = [f"{name}#{frame}" for name, frame in zip(names_of(run, *["a.dcm"] * 3, "b.dcm"), "1232", strict=True)]
        assert found(run.out) == names
        assert not [name for name in written(run.out) if name.startswith(("sr", "gsps", "sc"))]
        assert run(formats=FORMATS).before == 6

    def test_of_a_file_with_one_and_a_file_with_several(self, run: Runs) -> None:
        film(run.films / "a.dcm")
        film(run.films / "b.dcm", seed=2, frames=2)
        assert run().clashes == 3
        assert found(run.out) == [
            name + frame for name, frame in zip(names_of(run, "a.dcm", "b.dcm", "b.dcm"), ("", "#1", "#2"), strict=True)
        ]
