"""What a clinic sets in DICOM objects: procedure, body part, time zone, measurements, SOP class of the SR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import detection_on, film
from pydicom import Dataset
from samples import changed

from monai_ceph import weights
from monai_ceph.analysis import DEFINITIONS
from monai_ceph.errors import CephError
from monai_ceph.readers import Radiograph
from monai_ceph.reports.measured_values import MEASUREMENT_CODES
from monai_ceph.reports.object_settings import CEPHALOGRAM, ObjectSettings, load_object_settings
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.secondary_capture import secondary_capture
from monai_ceph.reports.structured_report import structured_report
from monai_ceph.result import Detection


def on_a_head() -> Detection:
    detection = detection_on()
    for index, (y, x) in enumerate(weights.mean_shape()):
        detection = changed(detection, index, x=150 + 80 * x, y=200 + 80 * y)
    return detection


def report(source: Dataset | None = None, detection: Detection | None = None, **settings: Any) -> Dataset:
    return structured_report(detection or detection_on(), source or film(), settings=ObjectSettings(**settings))


def codes_of(document: Dataset, meaning: str) -> list[tuple[str, str]]:
    """Return the codes that answer a question anywhere in a document."""
    return [
        (item.ConceptCodeSequence[0].CodeValue, item.ConceptCodeSequence[0].CodingSchemeDesignator)
        for element in document.iterall()
        if element.keyword == "ContentSequence"
        for item in element.value
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def measured(document: Dataset) -> set[str]:
    parts = [each for each in document.ContentSequence if each.ValueType == "CONTAINER"]
    (found,) = [each for each in parts if each.ConceptNameCodeSequence[0].CodeValue == "126011"] or [Dataset()]
    return {item.ConceptNameCodeSequence[0].CodeValue for item in found.get("ContentSequence", ())}


class TestProcedureAndBodyPart:
    def test_the_procedure_is_a_cephalogram(self) -> None:
        assert codes_of(report(), "Procedure reported") == [("43787-1", "LN")]
        assert CEPHALOGRAM.meaning.startswith("Cephalogram")
        assert len(CEPHALOGRAM.meaning) <= 64

    def test_another_procedure(self) -> None:
        document = report(procedure={"code": "CEPH", "scheme": "99CLINIC", "meaning": "Fernröntgen"})
        assert codes_of(document, "Procedure reported") == [("CEPH", "99CLINIC")]

    @pytest.mark.parametrize(
        ("stated", "given", "term", "code"),
        [
            (None, None, "HEAD", "69536005"),
            ("SKULL", None, "SKULL", "89546000"),
            ("skull ", None, "SKULL", "89546000"),
            # what a device says that was set up for something else
            ("CHEST", None, "HEAD", "69536005"),
            ("SKULL", "HEADNECK", "HEADNECK", "774007"),
        ],
    )
    def test_the_body_part(self, stated: str | None, given: str | None, term: str, code: str) -> None:
        source, settings = film(BodyPartExamined=stated), ObjectSettings.model_validate({"body_part": given})
        assert codes_of(structured_report(detection_on(), source, settings=settings), "Target Region") == [
            (code, "SCT")
        ]
        state = presentation_state(detection_on(), source, settings=settings)
        pixels = Radiograph(np.zeros((400, 300), np.float32), Path("film.dcm"))
        capture = secondary_capture(detection_on(), source, pixels, settings=settings)
        assert [state.BodyPartExamined, capture.BodyPartExamined] == [term, term]
        # the head is not a paired part
        assert "Laterality" not in state
        assert "Laterality" not in capture


class TestTimeZone:
    # the detection is of 2026-01-02 03:04:05 UTC
    @pytest.mark.parametrize(
        ("stated", "study", "zone", "expected"),
        [
            (None, ("20251231", "235958"), None, ("20260102", "030405", None)),
            (None, ("20251231", "235958"), "Europe/Berlin", ("20260102", "040405", "+0100")),
            # the study was in summer, and its times are part of the object
            (None, ("20250715", "101112"), "Europe/Berlin", ("20260102", "050405", "+0200")),
            (None, ("20250715", None), "Europe/Berlin", ("20260102", "050405", "+0200")),
            (None, ("20250715", "10"), "Europe/Berlin", ("20260102", "050405", "+0200")),
            (None, ("20250715", "101160"), "Europe/Berlin", ("20260102", "050405", "+0200")),
            (None, (None, None), "Europe/Berlin", ("20260102", "040405", "+0100")),
            (None, ("20251231", "235958"), "-03:30", ("20260101", "233405", "-0330")),
            ("+0530", ("20251231", "235958"), "Europe/Berlin", ("20260102", "083405", "+0530")),
        ],
    )
    def test_times_are_on_the_clocks_of_the_study(
        self, stated: str | None, study: tuple[str | None, str | None], zone: str | None, expected: Any
    ) -> None:
        source = film(TimezoneOffsetFromUTC=stated, StudyDate=study[0], StudyTime=study[1])
        document = report(source, timezone=zone)
        assert (document.ContentDate, document.ContentTime, document.get("TimezoneOffsetFromUTC")) == expected
        assert document.ObservationDateTime == "".join(expected[:2]) + (expected[2] or "+0000")


class TestMeasurements:
    def test_all_of_them_by_default(self) -> None:
        assert {"SNA", "FMA"} < measured(report(detection=on_a_head()))

    def test_none(self) -> None:
        assert measured(report(detection=on_a_head(), measurements="none")) == set()

    def test_those_of_an_analysis_and_single_ones(self) -> None:
        found = measured(report(detection=on_a_head(), measurements=["tweed", "Wits (MM)"]))
        tweed = {MEASUREMENT_CODES[each.symbol].value for each in DEFINITIONS if "Tweed" in each.analyses}
        assert found == {*tweed & measured(report(detection=on_a_head())), "WitsMM"}


class TestIdentity:
    def test_other_settings_give_other_objects(self) -> None:
        every: list[dict[str, Any]] = [
            *({}, {"timezone": "+01:00"}, {"timezone": "Europe/Berlin"}, {"body_part": "SKULL"}),
            *({"measurements": "none"}, {"sr_class": "comprehensive-3d"}),
        ]
        assert len({report(**settings).SOPInstanceUID for settings in every}) == len(every)
        assert report(body_part=None, measurements="all").SOPInstanceUID == report().SOPInstanceUID

    def test_a_3d_document(self) -> None:
        document = report(sr_class="comprehensive-3d")
        assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"


class TestFile:
    def test_everything(self, tmp_path: Path) -> None:
        path = tmp_path / "objects.yaml"
        path.write_text(
            "procedure: {code: '1', scheme: 99C, meaning: Ceph}\nbody_part: SKULL\ntimezone: Europe/Berlin\n"
            "measurements: [Steiner]\nsr_class: comprehensive-3d\n"
        )
        assert load_object_settings(path) == ObjectSettings.model_validate(
            {
                "procedure": {"code": "1", "scheme": "99C", "meaning": "Ceph"},
                "body_part": "SKULL",
                "timezone": "Europe/Berlin",
                "measurements": ["Steiner"],
                "sr_class": "comprehensive-3d",
            }
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("timezone: Berlin", "timezone: not a time zone such as Europe/Berlin or +01:00"),
            ("timezone: ../../etc/passwd", "timezone: not a time zone"),
            ("timezone: '+15:00'", "timezone: a time zone is -12:00 to +14:00"),
            ("timezone: '+01:75'", "timezone: not a time zone"),
            ("measurements: [SNX]", "no such measurement or analysis; analyses are Steiner"),
            ("measurements: []", "measurements"),
            ("body_part: CHEST", "body_part"),
            ("zone: UTC", "zone: no such key"),
            ("procedure: {code: '1', scheme: 99C}", "procedure.meaning"),
            ("procedure: {code: '1', scheme: 99C, meaning: 'a\\b'}", "procedure.meaning"),
            ("- timezone", "the file must consist of keys and values"),
            ("a: [", "not YAML"),
        ],
    )
    def test_mistakes_name_the_file_and_the_key(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "objects.yaml"
        path.write_text(text)
        with pytest.raises(CephError) as raised:
            load_object_settings(path)
        assert str(raised.value).startswith(f"{path}: ")
        assert message in str(raised.value)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match="No such file"):
            load_object_settings(tmp_path / "objects.yaml")
