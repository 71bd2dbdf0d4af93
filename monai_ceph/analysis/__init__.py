"""Angles, ratios and lengths of a detection, as docs/reference/measurements.md lists them."""

from monai_ceph.analysis.definitions import DEFINITIONS, Definition
from monai_ceph.analysis.measurement import Measurement, measure

__all__ = ["DEFINITIONS", "Definition", "Measurement", "measure"]
