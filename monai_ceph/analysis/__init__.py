"""Measurements of a film, by analysis, with intervals and norms, as docs/reference/measurements.md lists them."""

from monai_ceph.analysis.definition import ANALYSES, Analysis, Definition, Unit
from monai_ceph.analysis.definitions import DEFINITIONS
from monai_ceph.analysis.measurement import Measurement, measure
from monai_ceph.analysis.norms import Norm, Norms, Sex
from monai_ceph.analysis.norms.files import default_norms, load_norms

__all__ = [
    "ANALYSES",
    "DEFINITIONS",
    "Analysis",
    "Definition",
    "Measurement",
    "Norm",
    "Norms",
    "Sex",
    "Unit",
    "default_norms",
    "load_norms",
    "measure",
]
