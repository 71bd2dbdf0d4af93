"""LOINC codes of measurements. The tables are in docs/reference/codes.md, with what LOINC has and is not used.

This material contains content from LOINC (http://loinc.org). LOINC is copyright © Regenstrief Institute, Inc. and the
Logical Observation Identifiers Names and Codes (LOINC) Committee and is available at no cost under the license at
http://loinc.org/license. LOINC® is a registered United States trademark of Regenstrief Institute, Inc.
"""

from __future__ import annotations

from monai_ceph.landmarks import Code

__all__ = ["LOINC", "LOINC_CODES"]

LOINC = "LN"
"""Designator of LOINC in DICOM (PS3.16 section 8)."""


def _loinc(value: str, component: str) -> Code:
    return Code(value, LOINC, component)


LOINC_CODES: dict[str, Code] = {
    "U1-NA (deg)": _loinc("60609-5", "Upper incisor to nasion-A point line"),
    "L1-NB (deg)": _loinc("60608-7", "Lower incisor to nasion-B point line"),
    "L1-NB (mm)": _loinc("60604-6", "Lower incisal edge perpendicular to nasion-B point line"),
    "Interincisal": _loinc("60613-7", "Inter incisal angle"),
    "Y-axis (FH)": _loinc("60628-5", "Y axis to Frankfort horizontal plane"),
    "Co-A": _loinc("60616-0", "Condylion to A-point"),
    "Co-Gn": _loinc("60614-5", "Condylion to gnathion"),
    "ANS-Me": _loinc("60634-3", "Anterior nasal spine to menton"),
    "SN-PP": _loinc("60666-5", "Sella-nasion plane to palatal plane"),
    "SNPog": _loinc("60671-5", "Sella-nasion plane to nasion-pogonion line"),
    "Y-axis (SN)": _loinc("60630-1", "Y axis to sella-nasion plane"),
    "U1-SN": _loinc("60611-1", "Upper central incisor to sella-nasion line"),
}
"""The code of each measurement whose landmarks or lines LOINC's component names, by symbol.

The meaning is the component. All have the system ``Skull`` and the method ``XR.measured``, and the unit of ours.
"""
