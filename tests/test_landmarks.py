from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from monai_ceph.analysis import DEFINITIONS
from monai_ceph.landmarks import CODING_SCHEME, EXTRA_LANDMARKS, LANDMARKS, Code, Landmark, landmark_of, name_of
from monai_ceph.readers import SpacingSource
from monai_ceph.reports import dicom_codes
from monai_ceph.reports.loinc_codes import LOINC_CODES
from monai_ceph.reports.measured_values import MEASUREMENT_CODES, UNITS
from monai_ceph.reports.object_settings import BODY_PARTS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "codes.md"
STANDARD = (
    dicom_codes.ANATOMICAL_STRUCTURE,
    dicom_codes.DERIVED_MEASUREMENTS,
    dicom_codes.COMMENT,
    dicom_codes.FINDING,
    dicom_codes.IMAGE_LIBRARY,
    dicom_codes.IMAGE_LIBRARY_GROUP,
    dicom_codes.MODALITY,
    dicom_codes.PIXEL_DATA_ROWS,
    dicom_codes.PIXEL_DATA_COLUMNS,
    dicom_codes.HORIZONTAL_SPACING,
    dicom_codes.VERTICAL_SPACING,
    dicom_codes.TARGET_REGION,
    dicom_codes.IMAGE_VIEW,
    dicom_codes.LATERAL,
    dicom_codes.UNCERTAINTY_ABOVE,
    dicom_codes.UNCERTAINTY_BELOW,
    *BODY_PARTS.values(),
)

PRIVATE = (*dicom_codes.PRIVATE_CODES, *MEASUREMENT_CODES.values())


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of the page, without its head."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows[2:]]


def meanings(code: Code) -> set[str]:
    """Return what pydicom's dictionary of the scheme calls a code; empty if it is not in it."""
    return {item.meaning for item in getattr(codes, code.scheme).concepts.values() if item.value == code.value}


class TestCodes:
    @pytest.mark.parametrize(
        ("heading", "marks"), [("Landmarks", LANDMARKS), ("Landmarks that people place", EXTRA_LANDMARKS)]
    )
    def test_the_page_has_the_landmarks(self, heading: str, marks: tuple[Landmark, ...]) -> None:
        expected = [
            [mark.symbol, mark.name, code.scheme, code.value, code.meaning, site.value, site.meaning]
            for mark in marks
            for code, site in [(mark.code, mark.site)]
        ]
        assert table(heading) == expected

    def test_extra_landmarks_continue_the_others(self) -> None:
        every = (*LANDMARKS, *EXTRA_LANDMARKS)
        assert [mark.number for mark in every] == list(range(1, len(every) + 1))
        assert (
            len({mark.symbol.casefold() for mark in every})
            == len({mark.name.casefold() for mark in every})
            == len(every)
        )
        assert [landmark_of(mark.symbol) for mark in every] == list(every)
        assert {mark.symbol: name_of(mark.symbol) for mark in every} == {mark.symbol: mark.name for mark in every}
        assert (landmark_of("X"), name_of("X")) == (None, "X")

    def test_the_page_has_the_measurements(self) -> None:
        units = {each.symbol: UNITS[each.unit].value for each in DEFINITIONS}
        expected = [[symbol, code.value, code.meaning, units[symbol]] for symbol, code in MEASUREMENT_CODES.items()]
        assert table("Measurements") == expected

    def test_the_page_has_the_codes_of_loinc(self) -> None:
        units = {each.symbol: UNITS[each.unit].value for each in DEFINITIONS}
        expected = [[symbol, code.value, code.meaning, units[symbol]] for symbol, code in LOINC_CODES.items()]
        assert table("Measurements that LOINC has") == expected

    @pytest.mark.parametrize("code", LOINC_CODES.values(), ids=lambda code: code.value)
    def test_codes_of_loinc_have_their_check_digit(self, code: Code) -> None:
        digits = [int(digit) for digit in code.value.replace("-", "")]
        # mod 10: every second digit from the right is doubled
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        assert (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
        assert len(code.meaning) <= 64

    def test_the_page_has_the_other_private_codes(self) -> None:
        rows = table("Other private codes")
        assert [row[:2] for row in rows] == [[code.value, code.meaning] for code in dicom_codes.PRIVATE_CODES]
        assert all(len(row) == 3 and row[2] for row in rows)

    @pytest.mark.parametrize(
        "code",
        sorted(
            {
                code
                for mark in (*LANDMARKS, *EXTRA_LANDMARKS)
                for code in (mark.code, mark.site)
                if code.scheme != CODING_SCHEME
            }
        )
        + list(STANDARD),
        ids=lambda code: code.value,
    )
    def test_public_codes_exist(self, code: Code) -> None:
        assert code.meaning in meanings(code)

    def test_sites_are_snomed_codes(self) -> None:
        assert {mark.site.scheme for mark in (*LANDMARKS, *EXTRA_LANDMARKS)} == {"SCT"}

    def test_codes_are_unique(self) -> None:
        private = [mark.code for mark in (*LANDMARKS, *EXTRA_LANDMARKS)] + list(PRIVATE)
        assert len({(code.scheme, code.value.upper()) for code in private}) == len(private)

    def test_private_codes_fit_their_types(self) -> None:
        for code in [mark.code for mark in (*LANDMARKS, *EXTRA_LANDMARKS)] + list(PRIVATE):
            # SH and LO, and no sign that a table or a URL needs to escape
            assert re.fullmatch(r"[A-Za-z0-9]{1,16}", code.value)
            assert len(code.meaning) <= 64

    def test_every_source_of_a_scale_has_a_code(self) -> None:
        assert set(dicom_codes.SCALE_SOURCES) == set(SpacingSource)
