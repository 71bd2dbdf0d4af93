"""Profiles and detectors that several tests share."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph import weights
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles import Profile, ProfileLandmark

SHAPE = np.array(weights.mean_shape())[:, ::-1]
HEAD = SHAPE - SHAPE.mean(axis=0)
HEAD = HEAD / np.sqrt((HEAD**2).sum(axis=1).mean())


def moving(**offsets: tuple[float, float]) -> dict[str, ProfileLandmark]:
    """Landmarks with (forward, down)."""
    return {
        symbol: ProfileLandmark(forward=forward, down=down, films=12, error_before=0.1, error_after=0.03)
        for symbol, (forward, down) in offsets.items()
    }


def profile(weights_sha256: str = "ab" * 32, **changes: Any) -> Profile:
    """A profile that moves Porion lower and further forward."""
    values: dict[str, Any] = {
        "name": "Clinic North",
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        "software": "monai-ceph 0",
        "films": 12,
        "films_with_scale": 0,
        "weights_sha256": weights_sha256,
        "landmark_set": SYMBOLS,
        "error_before": 0.04,
        "error_after": 0.03,
        "landmarks": moving(Po=(0.05, 0.1)),
    }
    return Profile(**values | changes)


def shipped_profile(**changes: Any) -> Profile:
    """The same for the shipped weights."""
    sha256 = weights.sha256(*(weights.path(stage) for stage in weights.STAGES))
    return profile(sha256, **changes)


def saved(folder: Path, text: str) -> Path:
    file = folder / "clinic.yaml"
    file.write_text(text, encoding="utf-8")
    return file
