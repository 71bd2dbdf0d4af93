from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_ceph.errors import CephError
from monai_ceph.storage.written_files import WrittenFiles


def test_a_file_may_be_written_until_somebody_else_does(tmp_path: Path) -> None:
    files = WrittenFiles(tmp_path / "new")
    files.check("a.csv")
    assert not (tmp_path / "new").exists()
    for text in ("one", "two"):
        with files.writing("a.csv") as part:
            part.write_text(text)
        # another process knows it, too
        WrittenFiles(tmp_path / "new").check("a.csv")
    (tmp_path / "new" / "a.csv").write_text("mine")
    with pytest.raises(CephError, match=r"a\.csv: was not written by this software"):
        files.check("a.csv")
    with pytest.raises(CephError, match=r"a\.csv: was not written by this software"), files.writing("a.csv") as part:
        part.write_text("three")
    assert (tmp_path / "new" / "a.csv").read_text() == "mine"


@pytest.mark.parametrize("name", ["with\rreturn.csv", os.fsdecode(b"Latin-1 \xe9.csv"), "Ünïcode \u2028.csv"])
def test_odd_names_are_known_to_the_next_process(tmp_path: Path, name: str) -> None:
    for text in ("one", "two"):
        with WrittenFiles(tmp_path).writing(name) as part:
            part.write_text(text)
    (tmp_path / name).write_text("mine")
    with pytest.raises(CephError, match="was not written by this software"):
        WrittenFiles(tmp_path).check(name)
