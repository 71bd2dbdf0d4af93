from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from samples import changed

from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.reports.tables import LANDMARK_COLUMNS
from monai_ceph.result import Detection, film_state


def test_points_are_x_and_y(detection: Detection) -> None:
    found = changed(detection, 2, x=None, y=None, status="missing").points()
    assert found.shape == (19, 2)
    assert found[:2].tolist() == [[20.0, 50.0], [30.0, 60.0]]
    assert np.isnan(found[2]).all()
    assert not np.isnan(np.delete(found, 2, axis=0)).any()


def test_a_landmark_by_symbol_or_name(detection: Detection) -> None:
    assert detection["S"] is detection["Sella"] is detection.landmarks[0]
    assert detection["Pog'"].name == "Soft tissue pogonion"
    with pytest.raises(KeyError, match="no landmark 'sella': use a symbol \\(S, N, "):
        detection["sella"]


def test_a_detection_prints_on_one_line(detection: Detection) -> None:
    film = changed(changed(detection, 2, status="missing"), 3, status="uncertain")
    film = film.model_copy(update={"pixel_spacing": (0.1, 0.125), "warnings": ("The head faces left.",)})
    line = "ok, 19 landmarks (17 ok, 1 uncertain, 1 missing), 0.1 x 0.125 mm per pixel, 1 warning"
    assert repr(film) == str(film) == f"<Detection of film.png: {line}>"
    assert repr(detection).endswith("(19 ok, 0 uncertain, 0 missing), no scale, 0 warnings>")


def test_a_notebook_shows_a_table(detection: Detection) -> None:
    film = changed(detection, 1, x=None, y=None, score=0.0, status="missing")
    film = film.model_copy(update={"file": "<b>.png", "warnings": ("1 < 2",)})
    table = film._repr_html_()
    assert table.count("<tr>") == 20
    assert "<td>Sella</td><td>S</td><td>20.00</td><td>50.00</td><td></td><td></td><td>0.90</td><td>ok</td>" in table
    assert "<td>Nasion</td><td>N</td><td></td><td></td><td></td><td></td><td>0.00</td><td>missing</td>" in table
    assert "<p>&lt;b&gt;.png: ok, 19 landmarks" in table
    assert "<li>1 &lt; 2</li>" in table


def test_as_a_dataframe(detection: Detection) -> None:
    pytest.importorskip("pandas")
    frame = changed(detection, 1, x=None, y=None).to_dataframe()
    assert list(frame.columns[: len(LANDMARK_COLUMNS)]) == [*LANDMARK_COLUMNS]
    assert list(frame["symbol"]) == list(SYMBOLS)
    assert frame["x"].isna().tolist() == [False, True, *[False] * 17]
    assert (frame["x"][0], frame["spacing_source"][0]) == (20.0, "none")


def test_a_dataframe_without_pandas(detection: Detection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CephError, match=r"^to_dataframe needs pandas: pip install pandas$"):
        detection.to_dataframe()


class TestFilmState:
    @pytest.mark.parametrize(
        ("doubtful", "above", "state"),
        [(0, 0.0, "ok"), (1, 0.0, "uncertain"), (7, 0.4, "ok"), (8, 0.4, "uncertain")],
    )
    def test_by_the_share_of_landmarks_that_are_not_ok(
        self, detection: Detection, doubtful: int, above: float, state: str
    ) -> None:
        for index in range(doubtful):
            detection = changed(detection, index, status="missing" if index % 2 else "uncertain")
        assert film_state(detection.landmarks, above, forced=False) == state

    def test_by_force(self, detection: Detection) -> None:
        assert film_state(detection.landmarks, 1.0, forced=True) == "uncertain"

    def test_the_detector_takes_the_share_from_the_config(self, dicom: Path) -> None:
        for above, state in ((1.0, "ok"), (0.9, "uncertain")):
            detector = CephalogramDetector("cpu", overrides={"uncertain_below": 1.1, "film_uncertain_above": above})
            detection = detector(dicom, stage="global", force=True)
            assert detection.state == state
            assert not any(warning.startswith("Kept by force") for warning in detection.warnings)
