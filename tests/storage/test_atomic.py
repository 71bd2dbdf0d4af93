from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from monai_ceph.storage.atomic import sha256_of


@pytest.mark.parametrize("size", [0, 5, 2**20, 2**21 + 3])
def test_the_digest_of_a_file(tmp_path: Path, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    path = tmp_path / "file"
    path.write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert sha256_of(path) == expected
    with io.FileIO(path) as opened:
        opened.seek(3)
        # of the whole file, wherever it was read to
        assert sha256_of(tmp_path / "another name", opened) == expected
        assert not opened.closed
