from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.reports.json_result import result_schema, save_json
from monai_ceph.result import SCHEMA_VERSION, Detection

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


def test_saved_and_read_it_is_the_same(detection: Detection, tmp_path: Path) -> None:
    named = detection.model_copy(update={"file": "Müller/山田.png", "state": "uncertain"})
    save_json(tmp_path / "a.json", named)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert Detection.model_validate_json(text) == named
    assert text.startswith('{\n  "schema_version": "1.1",\n')
    assert text.endswith("}\n")


def test_a_result_of_version_1_0_can_be_read(detection: Detection, schema: Draft202012Validator) -> None:
    values = json.loads(detection.model_dump_json())
    del values["stated_spacing"]
    values["schema_version"] = "1.0"
    Draft202012Validator(json.loads((PAGE.parent / "detection-1.0.json").read_text())).validate(values)
    schema.validate(values)
    assert Detection.model_validate(values).stated_spacing is None


@pytest.mark.parametrize(
    "change",
    [{"schema_version": "2.0"}, {"state": "perhaps"}, {"turned": 45}, {"model": {}}, {"more": 1}, {"rows": "many"}],
)
def test_what_is_no_result(change: dict[str, Any], detection: Detection, schema: Draft202012Validator) -> None:
    with pytest.raises(ValidationError):
        schema.validate({**json.loads(detection.model_dump_json()), **change})
