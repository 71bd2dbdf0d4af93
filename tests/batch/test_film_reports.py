from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import detection_on, without
from fakes import save_film
from made_measurements import some
from runs import uid_of
from samples import changed, noise, save_grey

from monai_ceph.analysis import Measurement
from monai_ceph.batch.reports import ReportSummary, write_reports
from monai_ceph.errors import CephError
from monai_ceph.reports.json_result import read_detection, save_json
from monai_ceph.result import Detection
from monai_ceph.work.result_films import Films, is_results


def measured(detection: Detection) -> list[Measurement]:
    return some()


def saved(results: Path, name: str, **changes: Any) -> Detection:
    """Write the JSON of a film without a UID into a folder of results."""
    detection = detection_on(**{"file": name, "image_uid": None, **changes})
    save_json(results / "json" / f"{name.rpartition('/')[2]}.json", detection)
    return detection


def written(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if not path.name.startswith("."))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def report(results: Path, out: Path, *films: Path, **options: Any) -> ReportSummary:
    formats = options.pop("formats", ("html",))
    return write_reports([results], Films(films), out, formats, measured, **options)


class TestReports:
    def test_a_page_per_film_and_one_for_all(self, results: Path, out: Path) -> None:
        for name in ("a.png", "b.png"):
            saved(results, name)
        summary = report(results, out)
        assert (summary.written, summary.failures) == (2, [])
        assert written(out) == ["a.png.html", "b.png.html", "index.html"]
        index = (out / "index.html").read_text()
        assert 'href="a.png.html"' in index
        assert 'href="index.html"' in (out / "a.png.html").read_text()

    def test_pdf_only(self, results: Path, out: Path) -> None:
        pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
        saved(results, "a.png")
        assert report(results, out, formats=("pdf",)).written == 1
        assert written(out) == ["a.png.pdf"]

    def test_a_damaged_result_costs_its_own_report(self, results: Path, out: Path) -> None:
        saved(results, "a.png")
        (results / "json" / "b.png.json").write_text('{"schema_version": "2.0", "file": "b.png"}')
        (results / "json" / "c.png.json").write_text('{"schema_version": "1.0"}')
        summary = report(results, out)
        assert summary.written == 1
        assert [film for film, _ in summary.failures] == ["b.png", "c.png"]
        assert "not a result of monai-ceph: image_uid: Field required" in summary.failures[0][1]
        assert "schema version 1.0" in summary.failures[1][1]
        assert "b.png" in (out / "index.html").read_text()

    def test_errors_of_the_run_are_on_the_page(self, results: Path, out: Path) -> None:
        saved(results, "a.png")
        (results / "errors.csv").write_text("film,error\nlost.png,rejected: <no> cephalogram\n")
        assert report(results, out).failures == [("lost.png", "rejected: <no> cephalogram")]
        assert "rejected: &lt;no&gt; cephalogram" in (out / "index.html").read_text()

    def test_what_a_person_wrote_is_not_replaced(self, results: Path, out: Path) -> None:
        saved(results, "a.png")
        saved(results, "b.png")
        out.mkdir()
        (out / "a.png.html").write_text("mine")
        summary = report(results, out)
        assert (out / "a.png.html").read_text() == "mine"
        assert summary.written == 1
        assert [film for film, _ in summary.failures] == ["a.png"]
        # what was written before is replaced
        assert report(results, out).written == 1
        (out / "index.html").write_text("mine, too")
        with pytest.raises(CephError, match=r"index\.html"):
            report(results, out)

    def test_a_film_called_index_has_another_name_than_the_page(self, results: Path, out: Path) -> None:
        saved(results, "INDEX")
        report(results, out)
        assert written(out) == ["INDEX.2.html", "index.html"]

    def test_what_needs_a_person_comes_first(self, results: Path, out: Path) -> None:
        calm = [mark.model_copy(update={"status": "ok"}) for mark in detection_on().landmarks]
        saved(results, "a-calm", landmarks=tuple(calm))
        saved(results, "b-uncertain")
        missing = without(detection_on(), "S", "N")
        saved(results, "c-missing", landmarks=missing.landmarks)
        saved(results, "d-doubt", landmarks=tuple(calm), state="uncertain")
        report(results, out)
        index = (out / "index.html").read_text()
        names = ("d-doubt.html", "c-missing.html", "b-uncertain.html", "The others", "a-calm.html")
        places = [index.index(name) for name in names]
        assert places == sorted(places)
        assert "missing: S, N; uncertain: B, LI, Pog&#39;" in index

    def test_called_by_uid(self, results: Path, out: Path) -> None:
        save_json(results / "json" / "x.json", detection_on(file="Doe^Jane/x.dcm", frame=2))
        report(results, out, by_uid=True)
        assert written(out) == ["1.2.3.3_2.html", "index.html"]
        for page in out.glob("*.html"):
            assert "Jane" not in page.read_text()
        assert "1.2.3.3#2" in (out / "index.html").read_text()


class TestFilms:
    def test_by_name_below_the_folder_that_was_given(self, tmp_path: Path, results: Path, out: Path) -> None:
        (tmp_path / "films" / "2026").mkdir(parents=True)
        save_grey(tmp_path / "films" / "2026" / "a.png", noise(400, 300))
        saved(results, "2026/a.png")
        summary = report(results, out, tmp_path / "films")
        assert summary.notes == []
        assert "data:image/png" in (out / "index.html").read_text()

    def test_a_film_by_its_uid_whatever_it_is_called(self, tmp_path: Path) -> None:
        path = save_film(tmp_path / "films" / "x.dcm", 1)
        films = Films([tmp_path / "films"])
        assert films.find(detection_on(file="gone.dcm", image_uid=uid_of(path))) == path
        assert films.find(detection_on(file="gone.dcm", image_uid="1.2.3")) is None
        # two files with one UID may be two patients
        save_film(tmp_path / "films" / "y.dcm", 1)
        assert Films([tmp_path / "films"]).find(detection_on(file="gone.dcm", image_uid=uid_of(path))) is None

    def test_the_number_of_a_frame_is_no_part_of_the_name(self, tmp_path: Path) -> None:
        path = save_film(tmp_path / "x.dcm", 1, frames=2)
        assert Films([path]).find(detection_on(file=f"{path}#2", frame=2, image_uid=None)) == path

    def test_the_picture_of_another_film_is_left_out(self, tmp_path: Path, results: Path, out: Path) -> None:
        save_grey(tmp_path / "films.png", noise(300, 400))
        saved(results, str(tmp_path / "films.png"))
        summary = report(results, out, tmp_path / "films.png")
        assert summary.written == 1
        (note,) = summary.notes
        assert note.endswith("the film of this name is another image, so its picture was left out")
        assert "The film was not at hand" in (out / "films.png.html").read_text()

    def test_a_film_that_cannot_be_read_costs_its_picture(self, tmp_path: Path, results: Path, out: Path) -> None:
        (tmp_path / "films.png").write_bytes(b"no picture")
        saved(results, str(tmp_path / "films.png"))
        summary = report(results, out, tmp_path / "films.png")
        assert summary.written == 1
        assert len(summary.notes) == 1


def test_what_results_are(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    assert is_results(tmp_path)
    assert not is_results(tmp_path / "json")
    with pytest.raises(CephError, match=r"gone\.json: No such file"):
        read_detection(tmp_path / "gone.json")


def test_places_of_the_uncertainty_follow_the_head(tmp_path: Path) -> None:
    """A head of twice the size has circles of twice the radius, however it lies; what is missing has none."""
    from monai_ceph.reports.report_figure import uncertainty_radii

    shape = np.random.default_rng(1).uniform(0, 300, (19, 2))
    detections = []
    for places in (shape, 2 * shape[:, ::-1] * (-1, 1)):
        detection = detection_on()
        for index, (x, y) in enumerate(places.tolist()):
            detection = changed(detection, index, x=x, y=y)
        detections.append(uncertainty_radii(without(detection, "Go")))
    small, large = detections
    assert "Go" not in small
    assert large == pytest.approx({symbol: 2 * radius for symbol, radius in small.items()})
