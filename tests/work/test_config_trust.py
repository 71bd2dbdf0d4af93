from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from monai_ceph.errors import CephError
from monai_ceph.work.config_trust import check_trust

OVERLAYS = Path(__file__).parents[2] / "bundles" / "overlays"
RUNS = {
    "an expression": ("{\"device\": \"$__import__('os').system('true')\"}", "device"),
    "with a blank before it": ('{"device": " $print(1)"}', "device"),
    "a call": ('{"a": {"b": [1, {"_target_": "os.system"}]}}', "a::b::1::_target_"),
    "an import": ('{"imports": ["$import os"]}', "imports::0"),
    "a part of another file": ('{"device": "%/tmp/other.json::device"}', "device"),
}


@pytest.mark.parametrize(("text", "key"), RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_what_runs_code(tmp_path: Path, text: str, key: str, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_text(text)
    with pytest.raises(CephError) as error:
        check_trust([path], "say so")
    assert str(error.value) == f"{path}: {key} would run Python code. If you trust the file, say so"


def test_plain_values_and_shipped_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain.json"
    plain.write_text('{"uncertain_below": 0.3, "rejection": {"min_mean_score": null}, "ref": "@device", "cost": "5 $"}')
    # under another name, too
    copy = tmp_path / "copy.json"
    copy.write_bytes((OVERLAYS / "accurate.json").read_bytes())
    check_trust([plain, copy, *OVERLAYS.glob("*.json")], "")
    copy.write_text(copy.read_text().replace("}", ' , "more": "$1"}', 1))
    with pytest.raises(CephError):
        check_trust([copy], "")


def test_one_that_cannot_be_read_is_reported_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "damaged.json").write_text("{")
    check_trust([tmp_path / "damaged.json", tmp_path / "absent.json"], "")


def test_aliases_that_multiply_are_looked_at_once(tmp_path: Path) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    lines = ["a: &a [1, 2]", *(f"{name}: &{name} [*{last}, *{last}]" for last, name in pairwise(names))]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    check_trust([path], "")
