"""A short run of benchmarks/fuzz.py: damaged files of every kind are read or refused with a clear error."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import fuzz
import fuzz_detect
import pytest
import sample_files
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.readers import read_radiograph

COUNT = 150


@pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer limits memory as Linux counts it")
def test_damaged_files_are_read_or_refused() -> None:
    outcomes, findings = fuzz.fuzz(COUNT, seed=7)
    assert findings == []
    assert sum(counts.total() for counts in outcomes.values()) == COUNT
    # a fuzzer would test nothing if all its files were refused, or all were read
    assert sum(counts["read"] for counts in outcomes.values()) > COUNT / 10
    assert sum(counts["refused"] for counts in outcomes.values()) > COUNT / 10


def test_each_refused_file_has_a_clear_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    states, wrong = fuzz_detect.fuzz_detect(COUNT, 7, tmp_path)
    assert wrong == []
    # messages of decoders in C are in the row or in a warning
    assert capfd.readouterr().out == ""
    assert states.keys() == {"done", "failed"}
    assert min(states.values()) > COUNT / 10


def test_samples_are_valid(tmp_path: Path) -> None:
    paths = fuzz.write_samples(tmp_path)
    assert {path.name for path in paths} == {path.name for path in tmp_path.iterdir()}
    assert {f"dicom-{kind}.dcm" for kind in sample_files.COMPRESSED} < {path.name for path in paths}
    for path in paths:
        assert read_radiograph(path, frame=1).pixels.shape == (64, 80)


@given(st.binary(min_size=16, max_size=3000), st.integers(0, 2**32))
def test_damage_is_repeatable(data: bytes, seed: int) -> None:
    assert fuzz.damaged(data, random.Random(seed)) == fuzz.damaged(data, random.Random(seed))


def test_findings_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # child processes that die, hang, or print something else, in turn
    (tmp_path / "child.py").write_text(
        "import os, sys, time\n"
        "first = int(sys.argv[sys.argv.index('--first') + 1])\n"
        "for number in range(first, 6):\n"
        "    if number == 1: os.abort()\n"
        "    if number == 3: time.sleep(60)\n"
        "    if number == 4: sys.exit(9)\n"
        "    print('KeyError' if number == 5 else 'read', flush=True)\n"
    )
    monkeypatch.setattr(fuzz, "__file__", str(tmp_path / "child.py"))
    _, findings = fuzz.fuzz(6, seconds=5)
    assert [(each.number, each.outcome) for each in findings] == [
        (1, "SIGABRT"),
        (3, "hang"),
        (4, "exit code 9"),
        (5, "KeyError"),
    ]
