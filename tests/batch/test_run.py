from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pydicom
import pytest
from fakes import FakeDetector, dies_of_loading, no_weights, save_film
from PIL import Image
from runs import Runs, found, ledger, table, uid_of, written
from samples import noise, save_grey

from monai_ceph.analysis import DEFINITIONS
from monai_ceph.batch import FORMATS, Options, detect_films, parse_formats
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.result import Detection

# formats that are not among all, because their extra is not installed
WITHOUT_EXTRA = {kind for kind, package in (("pdf", "reportlab"), ("fhir", "fhir")) if find_spec(package) is None}


class TestStates:
    def test_every_film_has_one(self, run: Runs) -> None:
        for name in ("a", "doubt", "reject", "explode"):
            save_grey(run.films / f"{name}.png", noise(64, 48))
        (run.films / "text.png").write_text("no image")
        summary = run(run.films, run.films / "nowhere.png")
        assert summary.states == {"done": 1, "uncertain": 1, "rejected": 1, "failed": 3}
        assert (summary.films, summary.with_landmarks, summary.in_errors) == (6, 2, 4)
        assert found(run.out) == [str(run.films / "a.png"), str(run.films / "doubt.png")]
        errors = {Path(row["film"]).name: row["error"] for row in table(run.out / "errors.csv")}
        assert errors.pop("text.png").startswith("unreadable: ")
        assert errors == {
            "explode.png": "failed: RuntimeError: out of memory",
            "reject.png": "rejected: not a lateral cephalogram: every pixel has the same value",
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
        written = json.loads((run.out / "json" / f"{uid_of(run.films / 'a.dcm')}.json").read_text())
        # the measurements follow from the rest
        assert written.pop("measurements")
        assert json.loads(detection) == written
        assert json.loads(detection)["seconds"].keys() == {"reading", "stage_1"}

    def test_a_device_that_breaks_stops_the_run_and_then_costs_its_film(self, run: Runs) -> None:
        for name in ("a", "break", "c"):
            save_grey(run.films / f"{name}.png", noise(64, 48))
        for _ in range(2):
            with pytest.raises(StoppedError, match="the device failed: CUDA error: an illegal memory access"):
                run()
        assert run().states == {"done": 2, "failed": 1}
        assert "died twice" in table(run.out / "errors.csv")[0]["error"]
        # the neighbour was read ahead both times and is not to blame
        assert ledger(run.out, "name, attempts")[2] == ("c.png", 1)


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


class TestFormats:
    def test_an_overlay_has_the_proportions_of_the_film(self, run: Runs) -> None:
        save_grey(run.films / "a.png", noise(64, 48))
        run(formats=frozenset({"overlay"}))
        with Image.open(run.out / "overlays" / "a.png.png") as picture:
            # the legend is below the film
            assert picture.width == 750
            assert 1000 < picture.height < 1200

    def test_a_given_spacing_gives_millimetres(self, run: Runs) -> None:
        save_grey(run.films / "a.png", noise(64, 48))
        run(pixel_spacing=0.125, formats=frozenset({"json"}))
        detection = json.loads((run.out / "json" / "a.png.json").read_text())
        assert (detection["pixel_spacing"], detection["spacing_source"]) == ([0.125, 0.125], "user")

    @pytest.mark.parametrize(
        ("words", "formats"),
        [
            ([], {"csv", "json", "overlay"}),
            (["csv,json", "sr"], {"csv", "json", "sr"}),
            (["CSV, parquet,"], {"csv", "parquet"}),
            (["all"], set(FORMATS) - WITHOUT_EXTRA),
            (["all,pdf"], set(FORMATS) - (WITHOUT_EXTRA - {"pdf"})),
        ],
    )
    def test_in_words(self, words: list[str], formats: set[str]) -> None:
        assert parse_formats(words) == formats

    def test_unknown_ones(self) -> None:
        with pytest.raises(CephError, match=r"--formats xml, docx: no such format; use csv, parquet, "):
            parse_formats(["csv,xml", "docx"])

    def test_a_film_without_uids_has_no_dicom_results(self, run: Runs) -> None:

        path = save_film(run.films / "a.dcm", 1)
        dataset = pydicom.dcmread(path)
        del dataset.StudyInstanceUID
        dataset.save_as(path)
        assert run(formats=frozenset({"sr", "json"})).states == {"done": 1}
        (name,) = written(run.out)
        warnings = json.loads((run.out / name).read_text())["warnings"]
        assert [each for each in warnings if each.startswith("No SR: ")]
        assert not (run.out / "landmarks.csv").exists()

    def test_a_header_that_is_copied_literally_warns(self, run: Runs) -> None:
        path = save_film(run.films / "a.dcm", 1)
        dataset = pydicom.dcmread(path)
        dataset.add(pydicom.DataElement("StudyInstanceUID", "UI", "1.02.3", validation_mode=pydicom.config.IGNORE))
        dataset.save_as(path)
        assert run(formats=frozenset({"sr", "json"})).states == {"done": 1}
        (result,) = (name for name in written(run.out) if name.endswith(".json"))
        assert [each for each in json.loads((run.out / result).read_text())["warnings"] if "leading zero" in each]


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

    def test_unknown_names_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="names must be path or uid, not 'sop'"):
            Options(names="sop")  # type: ignore[arg-type]

    def test_a_film_that_hangs_costs_nothing_but_its_time(self, run: Runs) -> None:
        for seed, name in enumerate(("a", "hang", "c")):
            save_film(run.films / f"{name}.dcm", seed)
        options = Options(formats=frozenset({"csv"}), film_timeout=1.0)
        summary = detect_films([run.films], run.out, partial(FakeDetector, run.log), options)
        assert summary.states == {"done": 2, "failed": 1}
        assert [row["error"] for row in table(run.out / "errors.csv")] == [
            "failed: it took longer than --film-timeout allows, twice"
        ]
        assert sorted(run.seen()) == ["a.dcm", "c.dcm", "hang.dcm", "hang.dcm"]

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
    def test_a_time_that_is_none(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="film_timeout"):
            Options(film_timeout=seconds)

    def test_a_time_is_of_this_machine(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        with pytest.raises(CephError, match="--film-timeout works only with workers on this machine"):
            detect_films([run.films], run.out, FakeDetector, Options(film_timeout=1.0), make_executor=pytest.fail)
        assert not run.out.exists()


class TestOut:
    def test_a_file_in_its_place(self, run: Runs) -> None:
        save_film(run.films / "a.dcm", 1)
        run.out.touch()
        with pytest.raises(StoppedError, match=r"out: File exists"):
            run()
        assert not run.seen()

    def test_a_file_where_a_folder_must_be(self, run: Runs) -> None:
        for seed in range(4):
            save_film(run.films / f"{seed}.dcm", seed)
        run.out.mkdir()
        (run.out / "json").touch()
        with pytest.raises(CephError, match=r"out/json: is a file where a folder must be; move it"):
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


def test_measurements_of_every_film_with_landmarks(run: Runs) -> None:
    save_film(run.films / "a.dcm", 1)
    save_film(run.films / "doubt.dcm", 2)
    (run.films / "text.dcm").write_text("no film")
    run(formats=frozenset({"csv", "parquet", "json"}))
    rows = table(run.out / "measurements.csv")
    names = [row["film"] for row in rows]
    assert names == [name for name in found(run.out) for _ in DEFINITIONS]
    for name in found(run.out):
        detection = Detection.model_validate_json((run.out / "json" / f"{name}.json").read_bytes())
        own = [row for row in rows if row["film"] == name]
        for row, each in zip(own, detection.measure(), strict=True):
            assert (row["symbol"], row["reason"], row["image_uid"]) == (each.symbol, each.reason or "", name)
            assert float(row["value"] or "nan") == pytest.approx(
                math.nan if each.value is None else each.value, abs=6e-4, nan_ok=True
            )
    typed = pyarrow.parquet.read_table(run.out / "measurements.parquet").to_pylist()
    assert [(row["film"], row["symbol"]) for row in typed] == [(row["film"], row["symbol"]) for row in rows]
