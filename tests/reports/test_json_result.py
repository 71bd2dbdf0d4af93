from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from typer.testing import CliRunner

from monai_ceph.analysis import DEFINITIONS
from monai_ceph.cli import app
from monai_ceph.errors import CephError
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.json_result import result_json, result_schema, save_json
from monai_ceph.reports.measurement_record import definitions_json
from monai_ceph.result import SCHEMA_VERSION, Detection
from monai_ceph.version import __version__

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "schema" / f"detection-{SCHEMA_VERSION}.json"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(PAGE.read_text()), format_checker=FormatChecker())


def test_the_published_schema_is_that_of_the_model() -> None:
    assert PAGE.read_text(encoding="utf-8") == result_schema(), f"monai-ceph schema > {PAGE}"
    assert CliRunner().invoke(app, ["schema"]).stdout == result_schema()


def test_it_is_a_schema(schema: Draft202012Validator) -> None:
    Draft202012Validator.check_schema(schema.schema)


def test_a_real_result_is_valid(
    detect: Callable[[Path], Detection], dicom: Path, schema: Draft202012Validator, tmp_path: Path
) -> None:
    save_json(tmp_path / "new" / "a.json", detect(dicom))
    schema.validate(json.loads((tmp_path / "new" / "a.json").read_text(encoding="utf-8")))


def test_a_saved_result_can_be_read(detection: Detection, tmp_path: Path) -> None:
    named = detection.model_copy(update={"file": "Müller/山田.png", "state": "uncertain"})
    save_json(tmp_path / "a.json", named)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert Detection.model_validate_json(text) == named
    assert [each["symbol"] for each in json.loads(text)["measurements"]] == [each.symbol for each in DEFINITIONS]
    assert text.startswith('{\n  "schema_version": "3.0",\n')
    assert text.endswith("}\n")


def test_what_all_films_share_is_written_once(detection: Detection, tmp_path: Path) -> None:
    definitions = {each["symbol"]: each for each in json.loads(definitions_json())["measurements"]}
    assert [*definitions] == [each.symbol for each in DEFINITIONS]
    written = {each["symbol"]: each for each in json.loads(result_json(detection))["measurements"]}
    for each in detection.measure():
        record, shared = written[each.symbol], definitions[each.symbol]
        whole = {**each.model_dump(mode="json"), **record}
        # what a film leaves out is null or empty
        assert {key: value for key, value in whole.items() if key not in record and key not in shared} == {
            key: [] if key == "uncertain" else None for key in whole.keys() - record.keys() - shared.keys()
        }
        assert (shared["definition"], shared["citation"]) == (each.definition, each.citation)
        if each.norm is not None:
            assert record["norm"] == each.norm.set
            assert each.norm.model_dump(mode="json") in shared["norms"]
    save_json(tmp_path / "a.json", detection)
    assert (tmp_path / "a.json").stat().st_size < 20_000


def test_a_later_minor_version_is_read_and_the_current_one_is_written(
    detection: Detection, schema: Draft202012Validator
) -> None:
    values = json.loads(detection.model_dump_json())
    later = {**values, "schema_version": "3.17", "contrast": 0.7}
    later["model"] = {**values["model"], "trained_on": 400}
    later["landmarks"] = [{**mark, "spread": 1.5} for mark in values["landmarks"]]
    for found in (Detection.model_validate_json(json.dumps(later)), Detection.model_validate(later)):
        assert found == detection
        assert json.loads(found.model_dump_json()) == values
        schema.validate(json.loads(result_json(found)))


def test_a_result_of_the_major_version_before_is_read(detection: Detection) -> None:
    values = json.loads(result_json(detection))
    # 2.2 had the definition of every measurement in every film
    before = [each.model_dump(mode="json") for each in detection.measure()]
    earlier = {**values, "schema_version": "2.2", "measurements": before}
    assert Detection.model_validate_json(json.dumps(earlier)) == detection


@pytest.mark.parametrize("version", ["4.0", "1.1", "20.0"])
def test_another_major_version_is_refused_in_one_sentence(detection: Detection, version: str) -> None:
    values = {**json.loads(detection.model_dump_json()), "schema_version": version}
    message = (
        f"the result has schema version {version}, and monai-ceph {__version__} reads 2.x and 3.x: "
        "use the version of monai-ceph that wrote it, or detect again"
    )
    for read in (lambda: Detection.model_validate_json(json.dumps(values)), lambda: Detection.model_validate(values)):
        with pytest.raises(CephError) as refused:
            read()
        assert str(refused.value) == message


@pytest.mark.parametrize("change", [{}, {"schema_version": 2.0}, {"schema_version": "2"}, {"schema_version": "2.x"}])
def test_json_without_a_version_is_refused(detection: Detection, change: dict[str, Any]) -> None:
    values = json.loads(detection.model_dump_json())
    del values["schema_version"]
    with pytest.raises(CephError, match=r"^not a result of monai-ceph: it has no schema_version such as 3\.0$"):
        Detection.model_validate_json(json.dumps({**values, **change}))


def test_a_result_without_software_does_not_get_the_current_version(detection: Detection) -> None:
    values = json.loads(detection.model_dump_json())
    del values["model"]["software"]
    with pytest.raises(pydantic.ValidationError, match=r"model\.software\n  Field required"):
        Detection.model_validate_json(json.dumps(values))


def test_values_for_programs_have_no_spaces(detect: Callable[[Path], Detection], dicom: Path) -> None:
    values = json.loads(detect(dicom).model_dump_json())
    assert values["spacing_source"] == "pixel_spacing_calibrated"
    assert (values["model"]["software"], values["state"]) == (f"monai-ceph {__version__}", "ok")
    assert set(values["seconds"]) == {"reading", "framing", "stage_1", "stage_2", "decoding"}
    assert all(re.fullmatch("[a-z_]+", source.value) for source in SpacingSource)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": "2.2"},
        {"schema_version": "1.1"},
        {"state": "perhaps"},
        {"turned": 45},
        {"model": {}},
        {"more": 1},
        {"rows": "many"},
    ],
)
def test_other_json_is_refused(change: dict[str, Any], detection: Detection, schema: Draft202012Validator) -> None:
    values = json.loads(result_json(detection))
    schema.validate(values)
    with pytest.raises(ValidationError):
        schema.validate({**values, **change})
