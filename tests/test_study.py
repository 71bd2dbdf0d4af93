"""Tables and figures of a study, on readings that are made up."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from monai_ceph.analysis import measure
from monai_ceph.commands.evaluate_tables import confusion_table, landmark_table, measurement_table, rate_table
from monai_ceph.datasets import Film
from monai_ceph.datasets.phantom import draw_phantom
from monai_ceph.errors import CephError
from monai_ceph.evaluation import Evaluation
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.metrics import radial_errors
from monai_ceph.reports.figures import figure_files, save_figure, study_figures
from monai_ceph.reports.study_tables import study_tables, table_names
from monai_ceph.reports.tables import write_table
from monai_ceph.result import Detection
from monai_ceph.storage.written_files import WrittenFiles
from monai_ceph.study import Study, measurements_of_the_19

SPACING = (0.1, 0.2, 0.1)


def detected(detection: Detection, points: np.ndarray) -> Detection:
    """The detection with other places, (x, y); NaN is missing."""
    marks = [
        mark.model_copy(update={"x": x, "y": y} if math.isfinite(x) else {"x": None, "y": None, "status": "missing"})
        for mark, (x, y) in zip(detection.landmarks, points.tolist(), strict=True)
    ]
    return detection.model_copy(update={"landmarks": tuple(marks)})


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Landmarks of three heads, (3, 19, 2), (row, column)."""
    return np.stack([draw_phantom(seed, height=1200, width=968).landmarks for seed in (1, 2, 3)])


@pytest.fixture
def found(truth: np.ndarray) -> np.ndarray:
    """What the model says of them: 3 columns and 4 rows beside, without Po on the last film."""
    found = truth + np.array([4.0, 3.0])
    found[2, SYMBOLS.index("Po")] = math.nan
    return found


def evaluated(truth: np.ndarray, found: np.ndarray, detection: Detection, spread: np.ndarray | None) -> Evaluation:
    films = tuple(
        Film(f"{number}.png", Path(f"{number}.png"), points, spacing, None if spread is None else spread[number])
        for number, (points, spacing) in enumerate(zip(truth, SPACING, strict=True))
    )
    scale = torch.tensor(SPACING, dtype=torch.float64)[:, None, None]
    return Evaluation(
        tuple(film.name for film in films),
        radial_errors(torch.from_numpy(found) * scale, torch.from_numpy(truth) * scale),
        torch.from_numpy(found - truth) * scale,
        {},
        films,
        tuple(detected(detection, points[:, ::-1]) for points in found),
    )


@pytest.fixture
def study(truth: np.ndarray, found: np.ndarray, detection: Detection) -> Study:
    """Two annotators are 5 mm away from each other on the first film, and mark the same on the others."""
    spread = np.zeros_like(truth)
    spread[0] = (15, 20)
    return Study(evaluated(truth, found, detection, spread))


def test_readers(study: Study, truth: np.ndarray) -> None:
    assert study.readers == ("model", "truth", "senior", "junior")
    np.testing.assert_array_equal(study.points["junior"][0] - study.points["senior"][0], np.tile([40, 30], (19, 1)))
    np.testing.assert_allclose(study.points["senior"][1], truth[1, :, ::-1])
    assert study.doctor_errors is not None
    np.testing.assert_allclose(study.doctor_errors.mean(dim=1), [5, 0, 0])


def test_landmarks_agree_as_they_were_moved(study: Study) -> None:
    rows = study.landmark_agreement()
    assert [row.symbol for row in rows] == list(SYMBOLS)
    sella, porion = rows[0], rows[SYMBOLS.index("Po")]
    # 3 and 4 pixels of 0.1, 0.2 and 0.1 mm
    assert sella.x.bias == pytest.approx(0.4)
    assert sella.y.bias == pytest.approx(1.6 / 3)
    assert sella.x.dahlberg == pytest.approx(math.sqrt((0.09 + 0.36 + 0.09) / 6))
    assert (sella.x.films, sella.x.missing) == (3, 0)
    assert (porion.y.films, porion.y.missing) == (3, 1)
    assert porion.y.bias == pytest.approx(0.6)


def test_measurements_are_those_of_measure(study: Study) -> None:
    for reader in study.readers:
        for film, spacing in enumerate(SPACING):
            places = dict(zip(SYMBOLS, study.points[reader][film].tolist(), strict=True))
            values = {each.symbol: each.value for each in measure(places, spacing, turned=0, mirrored=False)}
            for each in measurements_of_the_19():
                value = study.measurements[reader][each.symbol][film]
                expected = values[each.symbol]
                assert value == pytest.approx(expected) if expected is not None else math.isnan(value)


def test_a_film_that_was_turned_and_mirrored_measures_the_same(
    truth: np.ndarray, found: np.ndarray, detection: Detection
) -> None:
    upright = Study(evaluated(truth, found, detection, None))
    # a mirror, then a quarter turn clockwise: a quarter turn back brings the film upright, and the face looks left
    turned, looks = (968 - truth[..., 1], 1200 - truth[..., 0]), (968 - found[..., 1], 1200 - found[..., 0])
    pose = detection.model_copy(update={"turned": 90, "mirrored": True})
    other = Study(evaluated(np.stack(turned, axis=-1), np.stack(looks, axis=-1), pose, None))
    for reader in ("model", "truth"):
        for symbol, values in upright.measurements[reader].items():
            np.testing.assert_allclose(other.measurements[reader][symbol], values, atol=1e-6, err_msg=symbol)


def test_agreement_of_measurements(study: Study) -> None:
    rows = {row.definition.symbol: row for row in study.measurement_agreement()}
    assert rows["SNA"].model.mean_absolute == pytest.approx(0, abs=1e-9)
    assert rows["S-N"].model.mean_absolute == pytest.approx(0, abs=1e-9)
    assert (rows["FMA"].model.films, rows["FMA"].model.missing) == (3, 1)
    assert rows["FMA"].doctors is not None
    assert rows["FMA"].doctors.missing == 0


def test_classes(study: Study) -> None:
    exact, corrected = study.class_agreement(exact=True), study.class_agreement(exact=False)
    missing = {each.symbol: each.missing for each in exact.model}
    # Po is part of ODI and APDI
    assert missing == {name: int(name in ("ODI", "APDI")) for name in missing}
    assert {each.symbol: each.missing for each in corrected.model} == missing
    assert exact.doctors is not None
    assert all(each.missing == 0 for each in exact.doctors)


def test_without_a_second_annotator(truth: np.ndarray, found: np.ndarray, detection: Detection) -> None:
    for spread in (None, np.full_like(truth, math.nan)):
        study = Study(evaluated(truth, found, detection, spread))
        assert study.readers == ("model", "truth")
        assert study.doctor_errors is None
        assert study.class_agreement(True).doctors is None
        assert all(row.doctors is None for row in study.measurement_agreement())


def test_the_truth_of_one_doctor_beside_both(truth: np.ndarray, found: np.ndarray, detection: Detection) -> None:
    result = evaluated(truth, found, detection, None)
    both = evaluated(truth, found, detection, np.ones_like(truth)).films
    study = Study(result, both)
    np.testing.assert_array_equal(study.points["truth"], truth[..., ::-1])
    np.testing.assert_array_equal(study.points["junior"], truth[..., ::-1] + 1)


def test_an_evaluation_without_films(truth: np.ndarray) -> None:
    with pytest.raises(CephError, match="the evaluation has no films"):
        Study(Evaluation(("a",), torch.zeros(1, 19), torch.zeros(1, 19, 2), {}))


class TestTables:
    @pytest.fixture
    def tables(self, study: Study, tmp_path: Path) -> dict[str, list[dict[str, str]]]:
        result = {}
        for table in study_tables(study, measurements=True, challenge=True):
            write_table(tmp_path / table.name, table.columns, table.rows)
            with (tmp_path / table.name).open(newline="") as file:
                result[table.name] = list(csv.DictReader(file))
        return result

    def test_their_names_are_known_before(self, study: Study) -> None:
        for measurements, challenge in ((False, False), (True, False), (True, True)):
            names = [table.name for table in study_tables(study, measurements, challenge)]
            assert tuple(names) == table_names(measurements, challenge)

    def test_every_row_has_every_column(self, tables: dict[str, list[dict[str, str]]]) -> None:
        for rows in tables.values():
            assert rows
            assert all(None not in row and None not in row.values() for row in rows)

    def test_errors_of_landmarks(self, tables: dict[str, list[dict[str, str]]], truth: np.ndarray) -> None:
        rows = tables["landmark_errors.csv"]
        assert len(rows) == 3 * 19
        second = rows[19]
        assert (second["film"], second["symbol"], second["missing"]) == ("1.png", "S", "0")
        assert (second["dx_mm"], second["dy_mm"], second["error_mm"]) == ("0.6000", "0.8000", "1.0000")
        assert float(second["x"]) - float(second["truth_x"]) == pytest.approx(3, abs=0.011)
        assert float(second["truth_y"]) == pytest.approx(truth[1, 0, 0], abs=0.005)
        [missing] = [row for row in rows if row["missing"] == "1"]
        assert (missing["film"], missing["symbol"], missing["status"]) == ("2.png", "Po", "missing")
        assert missing["x"] == missing["error_mm"] == missing["dx_mm"] == ""
        assert missing["truth_x"]

    def test_errors_of_films(self, tables: dict[str, list[dict[str, str]]]) -> None:
        rows = tables["film_errors.csv"]
        assert [row["mre_mm"] for row in rows] == ["0.5000", "1.0000", "0.5000"]
        assert [row["missing"] for row in rows] == ["0", "0", "1"]
        assert [row["sdr_2mm"] for row in rows] == ["100.00", "100.00", f"{100 * 18 / 19:.2f}"]

    def test_measurements_and_classes(self, tables: dict[str, list[dict[str, str]]]) -> None:
        rows = tables["measurements.csv"]
        assert len(rows) == 3 * len(measurements_of_the_19())
        [fma] = [row for row in rows if (row["film"], row["symbol"]) == ("2.png", "FMA")]
        assert fma["model"] == ""
        assert fma["truth"] == fma["senior"] == fma["junior"] != ""
        classes = tables["classes.csv"]
        assert len(classes) == 2 * 3 * 8
        assert {row["model"] for row in classes if row["film"] == "2.png" and row["measure"] == "ODI"} == {""}

    def test_confusion_counts_every_film(self, tables: dict[str, list[dict[str, str]]]) -> None:
        rows = [row for row in tables["confusion.csv"] if row["compared"] == "junior - senior"]
        for rules in ("challenge", "corrected"):
            for measure_ in ("ANB", "FHI", "FMA"):
                cells = [int(row["films"]) for row in rows if (row["rules"], row["measure"]) == (rules, measure_)]
                assert sum(cells) == 3
        assert {row["row_is"] for row in rows if row["rules"] == "challenge" and row["measure"] == "FMA"} == {"junior"}
        assert {row["row_is"] for row in rows if row["rules"] == "corrected"} == {"senior"}
        for row in tables["success_rates.csv"]:
            assert int(row["films"]) + int(row["without_class"]) == 3


class TestFigures:
    def test_files_are_whole_and_the_same_again(self, study: Study, tmp_path: Path) -> None:
        for folder in (tmp_path / "a", tmp_path / "b"):
            written = WrittenFiles(folder)
            figures = study_figures(study, "made up", "junior against senior")
            for figure in (*figures[:3], figures[-1]):
                save_figure(figure, written.writing)
        names = {path.name for path in (tmp_path / "a").iterdir() if not path.name.startswith(".")}
        assert names < set(figure_files())
        assert {name.rpartition(".")[0] for name in figure_files()} == {figure.name for figure in figures}
        for name in names:
            one, other = ((tmp_path / folder / name).read_bytes() for folder in "ab")
            assert one == other
            if name.endswith(".png"):
                with Image.open(tmp_path / "a" / name) as image:
                    # something was drawn
                    assert len(image.convert("L").getcolors() or []) > 3

    def test_what_they_say(self, study: Study) -> None:
        drawn: dict[str, Any] = {
            figure.name: figure.draw() for figure in study_figures(study, "made up", "doctors")[:4]
        }
        boxes, cumulative, rates, bland = drawn.values()
        labels = [label.get_text() for label in boxes.axes[0].get_xticklabels()]
        assert labels[SYMBOLS.index("Po")] == "Po\n1 missing"
        assert labels[0] == "S"
        legend = [text.get_text() for text in cumulative.axes[0].get_legend().get_texts()]
        assert legend == ["model: 57 landmarks, 1 missing", "doctors: 57 landmarks"]
        model, doctors = (line.get_ydata()[-1] for line in cumulative.axes[0].lines[:2])
        assert model == pytest.approx(100 * 56 / 57)
        assert doctors == 100
        heights = [bar.get_height() for bar in rates.axes[0].patches]
        assert heights == pytest.approx([100 * 56 / 57] * 4 + [100 * 2 / 3] * 4)
        assert bland.axes[0].get_title() == "SNA, degree (n = 3)"


class TestPrinted:
    """What the command line prints of a study."""

    @staticmethod
    def lines(table: Table) -> list[str]:
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(table)
        return [line.rstrip() for line in console.export_text().splitlines()]

    def test_80_columns_hold_every_table(self, study: Study) -> None:
        exact, corrected = study.class_agreement(True), study.class_agreement(False)
        tables = [
            landmark_table("agreement", study.landmark_agreement()),
            measurement_table("measurements", study.measurement_agreement(), "junior against senior"),
            rate_table("classes", exact, corrected, "junior against senior"),
            confusion_table("confusion", exact.model),
        ]
        for table in tables:
            assert max(len(line) for line in self.lines(table)) <= 80

    def test_rows_say_what_is_missing_and_by_how_much(self, study: Study) -> None:
        rows = [line.split() for line in self.lines(landmark_table("agreement", study.landmark_agreement()))]
        assert ["1", "Sella", "0/3", "0.400", "0.533"] in [row[:5] for row in rows]
        assert ["4", "Porion", "1/3", "0.450", "0.600"] in [row[:5] for row in rows]
        printed = self.lines(measurement_table("measurements", study.measurement_agreement(), None))
        assert ["FMA", "degree", "1/3"] in [line.split()[:3] for line in printed]

    def test_the_mean_of_the_rates_is_below_them(self, study: Study) -> None:
        exact, corrected = study.class_agreement(True), study.class_agreement(False)
        rows = [line.split() for line in self.lines(rate_table("classes", exact, corrected, None))]
        [mean] = [row for row in rows if row[:1] == ["mean"]]
        assert mean[1] == "2/24"
        assert mean[2] == f"{np.mean([each.rate for each in exact.model]):.2f}"
        odi = next(row for row in rows if row[:1] == ["ODI"])
        assert odi[1] == "1/3"
