from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from dicom_films import detection_on, without
from hypothesis import given
from hypothesis import strategies as st
from made_measurements import some

from monai_ceph.readers import SpacingSource
from monai_ceph.reports.deidentify import deidentified_detection
from monai_ceph.reports.report_content import FilmReport, Signature, film_report, quantity, signed_number, span


@pytest.fixture
def report() -> FilmReport:
    return film_report(detection_on(), some())


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "unit", "expected"),
        [
            (82.25, "degree", "82.2°"),
            (-3.96, "mm", "−4.0 mm"),
            (-0.04, "degree", "0.0°"),
            (66.66, "percent", "66.7 %"),
            (0.65149, "ratio", "0.651"),
        ],
    )
    def test_quantity(self, value: float, unit: str, expected: str) -> None:
        assert quantity(value, unit) == expected

    def test_changes_have_a_sign(self) -> None:
        assert [quantity(value, "mm", signed=True) for value in (1.0, -1.0, 0.01)] == ["+1.0 mm", "−1.0 mm", "0.0 mm"]

    def test_the_unit_stands_once(self) -> None:
        assert span(-1.0, 84.5, "degree") == "−1.0 to 84.5"

    @given(st.floats(-1000, 1000), st.integers(0, 3))
    def test_what_is_printed_is_the_number_rounded(self, value: float, digits: int) -> None:
        text = signed_number(value, digits)
        assert abs(float(text.replace("−", "-")) - value) <= 0.5 * 10**-digits + 1e-9
        assert "-" not in text


class TestRows:
    def test_groups_in_the_order_of_the_definitions_each_measurement_once(self, report: FilmReport) -> None:
        found = {group.title: [row.symbol for row in group.rows] for group in report.groups}
        assert found == {"Steiner": ["SNA", "SNB", "SNX", "S-N"], "Kim": ["ANB", "FHI"]}

    def test_a_value_with_all_that_is_known(self, report: FilmReport) -> None:
        row = report.groups[0].rows[0]
        assert (row.value, row.interval, row.norm) == ("84.0°", "83.0 to 85.0", "80.0 ± 2.0")
        assert (row.deviation, row.deviation_interval, row.verdict) == (2.0, (1.5, 2.5), "above")
        assert "Nobody, 1950" in row.explanation
        assert "nobody: Made up, 1950" in row.explanation

    def test_verdicts(self, report: FilmReport) -> None:
        verdicts = {row.symbol: row.verdict for group in report.groups for row in group.rows}
        expected = {"SNA": "above", "SNB": "not certain", "SNX": "below", "ANB": "below", "S-N": "", "FHI": ""}
        assert verdicts == expected

    def test_a_norm_of_limits_has_no_deviation(self, report: FilmReport) -> None:
        row = report.groups[1].rows[0]
        assert (row.value, row.norm, row.deviation, row.deviation_interval) == ("0.0°", "3.0 to 6.0", None, None)
        assert [each.symbol for each in report.chart] == ["SNA", "SNB", "SNX"]

    def test_what_is_not_measured_is_named_with_its_reason(self, report: FilmReport) -> None:
        assert report.absent == (("missing: L1A", "IMPA, FMIA"),)

    def test_a_norm_that_nobody_read_says_so(self, report: FilmReport) -> None:
        assert report.norms == ("nobody: Made up, 1950", "nobody: Made up, 1960 (not read in the primary source)")


class TestExplanations:
    def test_the_known_bias_of_what_is_measured(self, report: FilmReport) -> None:
        said = [text for text in report.explanations if text.startswith("Known bias")]
        assert said == ["Known bias on unseen films: SNA −0.8°, SNB −0.5°."]
        assert not any("bias" in text for text in film_report(detection_on(), []).explanations)

    def test_how_to_use_norms_that_nobody_read(self) -> None:
        read = [each for each in some() if each.norm is None or each.norm.verified]
        for measurements in ([], read):
            said = film_report(detection_on(), measurements).explanations[-1]
            assert said.startswith("Norms not read in their primary source are off;")
            assert "monai-ceph report --norms NAME uses them: downs, eastman, " in said
        # where some are used, whoever chose them knows
        assert not any("--norms" in text for text in film_report(detection_on(), some()).explanations)


class TestFilm:
    def test_a_draft_until_a_named_person_signs(self, report: FilmReport) -> None:
        assert (report.standing, report.signed) == ("DRAFT: not reviewed", False)
        moment = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
        signed = film_report(detection_on(), some(), Signature("Jo Doe", moment))
        assert (signed.standing, signed.signed) == ("Reviewed and signed by Jo Doe, 2026-02-28 23:30 UTC", True)

    def test_landmarks_in_doubt_are_named(self) -> None:
        report = film_report(without(detection_on(), "N"), [])
        assert report.landmarks == "14 of 19 landmarks are ok; uncertain: S, B, LI, Pog'; missing: N."

    def test_facts_name_model_and_scale(self, report: FilmReport) -> None:
        facts = dict(report.facts)
        assert facts["scale"] == "0.25 x 0.125 mm per pixel"
        assert facts["source of the scale"] == "PixelSpacing, calibrated"
        assert (facts["model"], facts["weights SHA-256"], facts["recipe SHA-256"]) == ("test 1", "ab" * 32, "cd" * 32)
        assert facts["detected"] == "2026-01-02 03:04 UTC"

    def test_without_a_scale(self) -> None:
        report = film_report(detection_on(pixel_spacing=None, spacing_source=SpacingSource.NONE), [])
        assert dict(report.facts)["scale"] == "not known: no lengths in mm"

    def test_what_is_de_identified_has_no_time_and_no_file(self) -> None:
        report = film_report(deidentified_detection(detection_on()), [])
        assert "detected" not in dict(report.facts)
        assert report.film == report.image_uid
