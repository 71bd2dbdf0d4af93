from __future__ import annotations

import pytest
from pydicom import DataElement, Dataset

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.archives.selection import Selection

DX = "1.2.840.10008.5.1.4.1.1.1.1"


pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR CS")


def refusal(rules: dict[str, object] | None = None, **values: object) -> str | None:
    header = Dataset()
    for name, value in {"SOPClassUID": DX, "Modality": "DX", **values}.items():
        setattr(header, name, value)
    return Selection(SelectionConfig(**(rules or {}))).refusal(header)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"BodyPartExamined": "SKULL"},
        {"PositionerType": "CEPHALOSTAT", "SeriesDescription": "Panorama unit"},
        {"SeriesDescription": "Ceph lateral"},
        {"StudyDescription": "Fernröntgenseitenbild", "BodyPartExamined": "CHEST"},
        {"SeriesDescription": "Télécrâne, téléradiographie de profil"},
        # it is enough if one of two descriptions or terms names a cephalogram
        {"StudyDescription": "Panoramic and cephalometric", "Modality": "PX"},
        {"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"Modality": "CEPH"},
        {"Modality": "CEPH", "SOPClassUID": ""},
        {"SeriesDescription": "Ceph", "StudyDescription": "OPG and others"},
        {"NumberOfFrames": "1"},
    ],
)
def test_cephalograms_are_selected(values: dict[str, object]) -> None:
    assert refusal(**values) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, "Comprehensive SR Storage is not an image class"),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1"},
            "Grayscale Softcopy Presentation State Storage is not an image class",
        ),
        ({"SOPClassUID": "1.2.3.4"}, "an object of an unknown SOP class is not an image class"),
        ({"Modality": "CT"}, "Modality CT is not in select.modalities"),
        ({"Modality": "Doe^Jane", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "Modality of an unknown kind"),
        ({"PositionerType": "PANORAMIC"}, "PositionerType PANORAMIC"),
        ({"SeriesDescription": "OPG"}, "select.exclude"),
        ({"SeriesDescription": "OPG", "StudyDescription": "Cephalometric analysis"}, "select.exclude"),
        ({"ProtocolName": "Bite-wing left"}, "select.exclude"),
        ({"BodyPartExamined": "HAND"}, "select.body_parts"),
        ({"NumberOfFrames": "200"}, "more than 4 frames"),
    ],
)
def test_other_images_are_not_selected(values: dict[str, object], message: str) -> None:
    answer = refusal(**values)
    assert answer is not None
    assert message in answer
    assert "Doe" not in answer


def test_the_configuration_changes_the_selection() -> None:
    assert refusal({"modalities": ["XC"]}, Modality="XC") is None
    assert refusal({"modalities": [" xc"], "body_parts": ["hand "]}, Modality="XC", BodyPartExamined="HAND") is None
    assert "only_included" in str(refusal({"only_included": True}))
    assert refusal({"only_included": True}, SeriesDescription="CEPH LAT") is None
    assert refusal({"exclude": "^$"}, SeriesDescription="OPG") is None


def test_the_meaning_of_a_view_code_counts_as_a_description() -> None:
    view = Dataset()
    view.CodeMeaning = "Cephalometric lateral"
    assert refusal({"only_included": True}, ViewCodeSequence=[view]) is None


@pytest.mark.parametrize(
    ("kind", "value"), [("LO", "Lateral"), ("LO", ["a", "b"]), ("US", 7), ("FD", 1.5), ("OB", b"ab")]
)
@pytest.mark.parametrize("name", ["ViewCodeSequence", "AnatomicRegionSequence"])
def test_a_value_instead_of_a_sequence_is_ignored(name: str, kind: str, value: object) -> None:
    header = Dataset()
    header.Modality = "DX"
    header[name] = DataElement(name, kind, value)
    assert Selection(SelectionConfig()).refusal(header) is None
