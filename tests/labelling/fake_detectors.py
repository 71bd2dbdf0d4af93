"""A fake detector that answers at once; tests/integration uses the real one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from monai_ceph.errors import RejectedError
from monai_ceph.result import Detection

SCORES = {"a.png": 0.9, "b.png": 0.3, "c.png": 0.6}


class FakeDetectors:
    """Detects the same landmarks on every film. The score depends on the film's name."""

    def __init__(self, detection: Detection, tuned: Path) -> None:
        self.detection, self.tuned = detection, tuned
        self.device: str | None = None
        self.asked: list[str] = []
        self.devices: list[str | None] = []
        self.mirrored: set[str] = set()

    def get(self, *args: Any) -> Any:
        return SimpleNamespace(identity=self.detection.model)

    def detect(self, film: Path, weights: str = "latest", device: str | None = None, force: bool = False) -> Detection:
        self.asked.append(film.name)
        self.devices.append(device)
        if film.name == "none.png" and not force:
            raise RejectedError(f"{film}: not a lateral cephalogram: nothing seen")
        score = SCORES.get(film.name, 0.5)
        marks = tuple(mark.model_copy(update={"score": score}) for mark in self.detection.landmarks)
        return self.detection.model_copy(
            update={"landmarks": marks, "file": str(film), "mirrored": film.name in self.mirrored}
        )
