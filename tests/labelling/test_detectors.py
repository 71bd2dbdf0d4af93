"""The real detectors, with weights that work and weights that do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.labelling.detectors import Detectors


@pytest.fixture
def detectors(tmp_path: Path) -> Detectors:
    return Detectors(tmp_path / "model" / "local.pt", "cpu")


def upload(tmp_path: Path, kind: str) -> Path:
    file = tmp_path / "upload.pt"
    if kind == "shipped":
        shutil.copy(weights.path("local"), file)
    elif kind == "another network":
        torch.save({"layer.weight": torch.zeros(3)}, file)
    else:
        file.write_bytes(b"no weights")
    return file


def test_uploaded_weights_are_used_if_they_can_be_loaded(detectors: Detectors, tmp_path: Path) -> None:
    file = upload(tmp_path, "shipped")
    detectors.replace(file)
    assert detectors.tuned.read_bytes() == file.read_bytes()
    assert detectors.get().identity.weights_sha256 == detectors.get("shipped").identity.weights_sha256


@pytest.mark.parametrize("kind", ["no file of torch", "another network"])
def test_weights_that_cannot_be_loaded_change_nothing(detectors: Detectors, tmp_path: Path, kind: str) -> None:
    detectors.tuned.parent.mkdir()
    detectors.tuned.write_bytes(b"before")
    with pytest.raises(CephError, match=r"^the upload: not weights of this network"):
        detectors.replace(upload(tmp_path, kind))
    assert detectors.tuned.read_bytes() == b"before"
    assert [path.name for path in detectors.tuned.parent.iterdir()] == ["local.pt"]


def test_damaged_weights_are_set_aside_at_the_start(detectors: Detectors, caplog: pytest.LogCaptureFixture) -> None:
    detectors.tuned.parent.mkdir()
    detectors.tuned.write_bytes(b"damaged")
    detectors.load_or_set_aside()
    assert "using the shipped weights" in caplog.text
    assert [path.name for path in detectors.tuned.parent.iterdir()] == ["local.unusable"]
    assert detectors.get().identity == detectors.get("shipped").identity


def test_an_error_with_another_cause_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "local.pt").write_bytes(b"damaged")
    with pytest.raises(CephError, match="device nothing cannot be used"):
        Detectors(tmp_path / "local.pt", "nothing").load_or_set_aside()
    assert (tmp_path / "local.pt").is_file()
