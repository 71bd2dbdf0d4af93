from __future__ import annotations

from pathlib import Path

import pytest
from runs import Runs


@pytest.fixture
def run(tmp_path: Path) -> Runs:
    return Runs(tmp_path)
