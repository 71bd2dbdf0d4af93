"""The rules of IHE AI Results for what an SR contains, each on a written SR; docs/reference/ihe-air.md lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_films import DX, IMAGE, SERIES, STUDY, detection_on, film, without
from pydicom import Dataset, dcmread
from samples import changed

from monai_ceph import weights
from monai_ceph.landmarks import NAMES
from monai_ceph.reports.object_settings import ObjectSettings
from monai_ceph.reports.structured_report import save_sr
from monai_ceph.result import Detection

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "ihe-air.md"


def head() -> Detection:
    """Return a detection with its landmarks where a head has them, but one that is missing."""
    detection = detection_on()
    for index, (y, x) in enumerate(weights.mean_shape()):
        detection = changed(detection, index, x=150 + 80 * x, y=200 + 80 * y)
    return without(detection, "Ar")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("air") / "sr.dcm"
    save_sr(path, head(), film(), settings=ObjectSettings(sr_class="comprehensive-3d"))
    return dcmread(path)


def name(item: Dataset) -> tuple[str, str]:
    code = item.ConceptNameCodeSequence[0]
    return code.CodeValue, code.CodingSchemeDesignator


def items(parent: Dataset, value: str, scheme: str = "DCM") -> list[Dataset]:
    return [item for item in parent.get("ContentSequence", ()) if name(item) == (value, scheme)]


def every(parent: Dataset) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence", ()):
        yield item
        yield from every(item)


def groups(document: Dataset) -> list[Dataset]:
    (measurements,) = items(document, "126010")
    return items(measurements, "125007")


def equipment(document: Dataset) -> Dataset:
    """Return the item of the model."""
    (found,) = [item for item in document.ContributingEquipmentSequence if "DeviceUID" in item]
    return found


def test_the_root_is_a_measurement_report(document: Dataset) -> None:
    assert name(document) == ("126000", "DCM")
    template = document.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")


def test_the_iod_is_comprehensive_3d(document: Dataset) -> None:
    assert document.SOPClassUID == document.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"


def test_the_result_is_in_the_study_of_its_images(document: Dataset) -> None:
    assert document.StudyInstanceUID == STUDY
    for attribute in ("PatientID", "PatientName", "AccessionNumber", "StudyDate"):
        assert document[attribute].value == film()[attribute].value


def test_the_algorithm_is_in_the_contributing_equipment(document: Dataset) -> None:
    item = equipment(document)
    purpose = item.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
    assert all(item[each].value for each in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID"))


def test_the_observer_is_that_equipment(document: Dataset) -> None:
    item = equipment(document)
    (kind,) = items(document, "121005")
    assert kind.ConceptCodeSequence[0].CodeValue == "121007"
    assert item.DeviceUID == items(document, "121012")[0].UID
    assert items(document, "121014")[0].TextValue == item.Manufacturer
    assert items(document, "121015")[0].TextValue == item.ManufacturerModelName


def test_each_finding_names_that_algorithm(document: Dataset) -> None:
    item = equipment(document)
    for group in groups(document):
        assert [each.TextValue for each in items(group, "111001")] == [item.ManufacturerModelName]
        assert [each.TextValue for each in items(group, "111003")] == [item.SoftwareVersions]


def test_another_model_is_another_device(document: Dataset, tmp_path: Path) -> None:
    model = head().model.model_copy(update={"weights_sha256": "ef" * 32})
    save_sr(tmp_path / "sr.dcm", head().model_copy(update={"model": model}), film())
    assert equipment(dcmread(tmp_path / "sr.dcm")).DeviceUID != equipment(document).DeviceUID


def test_each_finding_can_be_tracked(document: Dataset, tmp_path: Path) -> None:
    """Its UID is its own, and the same in a result of another model for the same image."""
    found = {items(group, "112040")[0].UID: items(group, "112039")[0].TextValue for group in groups(document)}
    assert list(found.values()) == [each for each in NAMES if each != "Articulare"]
    model = head().model.model_copy(update={"weights_sha256": "ef" * 32})
    save_sr(tmp_path / "sr.dcm", head().model_copy(update={"model": model}), film())
    assert [items(group, "112040")[0].UID for group in groups(dcmread(tmp_path / "sr.dcm"))] == list(found)


def test_a_location_is_a_point_on_its_image(document: Dataset) -> None:
    for group in groups(document):
        (point,) = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        assert (point.GraphicType, len(point.GraphicData)) == ("POINT", 2)
        (image,) = point.ContentSequence
        assert (image.ValueType, image.RelationshipType) == ("IMAGE", "SELECTED FROM")
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == IMAGE


def test_a_finding_has_a_type_and_a_site(document: Dataset) -> None:
    for group in groups(document):
        assert len(items(group, "121071")) == 1
        assert items(group, "363698007", "SCT")


def test_a_measurement_has_a_code_and_a_unit(document: Dataset) -> None:
    numbers = [item for item in every(document) if item.ValueType == "NUM"]
    (derived,) = items(document, "126011")
    assert len(derived.ContentSequence) > 20
    for item in numbers:
        unit = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
        assert unit.CodingSchemeDesignator == "UCUM"
        assert all(name(item))


def test_a_qualitative_finding_is_coded(document: Dataset) -> None:
    (found,) = items(document, "C0034375", "UMLS")
    coded = [item for item in found.ContentSequence if item.ValueType == "CODE"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in coded] == ["FilmOk", "StatusMissing"]
    assert all(items(group, "LandmarkStatus", "99MONAICEPH") for group in groups(document))


def test_every_image_that_is_named_is_evidence(document: Dataset) -> None:
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in every(document) if item.ValueType == "IMAGE"
    }
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY, SERIES)
    assert (image.ReferencedSOPClassUID, {image.ReferencedSOPInstanceUID}) == (DX, named)


def test_the_image_library_has_the_image(document: Dataset) -> None:
    (library,) = items(document, "111028")
    (group,) = library.ContentSequence
    (image,) = group.ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == IMAGE


def test_private_codes_are_identified(document: Dataset) -> None:
    assert "99MONAICEPH" in [item.CodingSchemeDesignator for item in document.CodingSchemeIdentificationSequence]


def test_the_page_lists_every_test() -> None:
    tests = {each for each in globals() if each.startswith("test_")} - {"test_the_page_lists_every_test"}
    assert set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8"))) == tests
