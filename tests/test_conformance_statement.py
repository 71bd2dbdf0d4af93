"""docs/reference/conformance.md has what the code has: ``make conformance`` rewrites its tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from pydicom import Dataset

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
sys.path.append(str(Path(__file__).parents[1] / "docs"))

import conformance_objects
import conformance_statement


def test_the_page_is_what_the_code_says() -> None:
    assert conformance_statement.PAGE.read_text(encoding="utf-8") == conformance_statement.page()


def attributes(dataset: Dataset, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each attribute; a content tree and the items of codes have their own rules."""
    for element in dataset:
        yield (*path, element.keyword)
        if element.VR == "SQ" and element.keyword != "ContentSequence" and not element.keyword.endswith("CodeSequence"):
            for item in element.value:
                yield from attributes(item, (*path, element.keyword))


def test_every_attribute_is_in_the_modules_of_its_iod() -> None:
    """Of PS3.3 as highdicom has it."""
    standard = files("highdicom") / "_standard"
    iods, modules, sop_classes = (
        json.loads((standard / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("iod_module_map", "module_attribute_map", "sop_class_iod_map")
    )
    _, made = conformance_objects.made_objects(0)
    assert len(made) == 5
    for sop_class, dataset in made.items():
        known = {
            (*attribute["path"], attribute["keyword"])
            for module in iods[sop_classes[sop_class]]
            for attribute in modules[module["key"]]
        }
        assert [each for each in attributes(dataset) if each not in known] == []
