from __future__ import annotations

from pathlib import Path

import pytest
from samples import changed

from monai_ceph.detection import CephalogramDetector
from monai_ceph.result import Detection, film_state


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
