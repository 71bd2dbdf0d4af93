"""Measurements and norms with made-up figures, for tests of what shows them."""

from __future__ import annotations

from typing import Any

from monai_ceph.analysis import Measurement, Norm

NORM = Norm(population="nobody", mean=80.0, sd=2.0, citation="Made up, 1950", verified=True)
LIMITS = Norm(population="nobody", low=3.0, high=6.0, citation="Made up, 1960")


def measurement(symbol: str, value: float | None, **values: Any) -> Measurement:
    """Return a measurement in degrees that belongs to Steiner's analysis; ``half`` is half its interval."""
    half = values.pop("half", None)
    interval = None if half is None or value is None else (value - half, value + half)
    fixed = {"name": f"{symbol} angle", "analyses": ("Steiner",), "unit": "degree", "reason": None, "landmarks": ("S",)}
    rest = {"uncertain": (), "scale": None, "interval": interval, "definition": "angle", "citation": "Nobody, 1950"}
    return Measurement(**{"symbol": symbol, "value": value, **fixed, **rest, **values})


def some() -> list[Measurement]:
    """Return one measurement of each kind that a report shows differently."""
    return [
        measurement("SNA", 84.0, half=1.0, norm=NORM, deviation=2.0, flag="above", certain=True),
        measurement("SNB", 81.75, half=3.0, norm=NORM, deviation=0.875, certain=False),
        measurement("SNX", 70.0, half=1.0, norm=NORM, deviation=-5.0, flag="below", certain=True, uncertain=("Go",)),
        measurement("ANB", -0.04, norm=LIMITS, flag="below", analyses=("Kim", "Steiner")),
        measurement("S-N", 70.26, unit="mm", half=0.5),
        measurement("FHI", 0.6512, unit="ratio", analyses=("Kim",)),
        measurement("IMPA", None, reason="missing: L1A"),
        measurement("FMIA", None, reason="missing: L1A"),
    ]
