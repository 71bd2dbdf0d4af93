from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.networks import HeatmapUNet
from monai_ceph.networks.efficientnet import EfficientNetHeatmapUNet

STAGES = weights.STAGES


def small(seed: int = 0) -> HeatmapUNet:
    torch.manual_seed(seed)
    network = HeatmapUNet(channels=(4, 8))
    # batch statistics and counters away from their start
    network.train()(torch.rand(2, 1, 16, 16))
    return network.eval()


def test_export_and_load(tmp_path: Path) -> None:
    network, loaded = small(0), small(1)
    torch.save({"network": network.state_dict(), "optimizer": {"state": {}}}, tmp_path / "checkpoint.pt")
    weights.export(str(tmp_path / "checkpoint.pt"), str(tmp_path / "weights.pt"))
    state = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]

    assert weights.load(loaded.train(), str(tmp_path / "weights.pt")) is loaded
    assert not loaded.training
    for name, value in network.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype
        # kernels have the precision of bfloat16
        precise = value.bfloat16() if value.ndim > 1 else value
        expected = precise.half().float() if value.is_floating_point() else value
        assert torch.equal(found, expected), name
    film = torch.rand(1, 1, 20, 24)
    assert torch.allclose(loaded(film), network(film), atol=0.02)


@pytest.mark.parametrize("wrapped", [True, False])
def test_both_kinds_of_checkpoint(tmp_path: Path, wrapped: bool) -> None:
    network = small(0)
    state = network.state_dict()
    torch.save({"network": state, "optimizer": {}} if wrapped else state, tmp_path / "a.pt")
    loaded = weights.load(small(1), str(tmp_path / "a.pt"))
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in state.items())
    weights.export(str(tmp_path / "a.pt"), str(tmp_path / "b.pt"))
    weights.load(small(1), str(tmp_path / "b.pt"))


def test_exported_weights_are_compressed(tmp_path: Path) -> None:
    state = HeatmapUNet().state_dict()
    torch.save(state, tmp_path / "a.pt")
    weights.export(str(tmp_path / "a.pt"), str(tmp_path / "b.pt"))
    assert (tmp_path / "b.pt").stat().st_size < 0.9 * 2 * sum(value.numel() for value in state.values())


def test_export_is_stable(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "a.pt")
    for name in ("b", "c"):
        weights.export(str(tmp_path / "a.pt"), str(tmp_path / name / "w.pt"))
    assert weights.sha256(str(tmp_path / "b" / "w.pt")) == weights.sha256(str(tmp_path / "c" / "w.pt"))


def broken(path: Path, kind: str) -> Path:
    if kind == "text":
        path.write_text("no weights\n")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        torch.save(small().state_dict(), path)
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "a tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "other network":
        torch.save(HeatmapUNet(channels=(4, 16)).state_dict(), path)
    elif kind == "other layers":
        torch.save({"weight": torch.zeros(3)}, path)
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "text", "empty", "folder", "truncated", "a tensor", "other network", "other layers"]
)
def test_no_weights(tmp_path: Path, kind: str) -> None:
    file = broken(tmp_path / "w.pt", kind)
    with pytest.raises(CephError) as caught:
        weights.load(small(), str(file))
    message = str(caught.value)
    assert message.startswith(f"{file}: not weights of this network: ")
    assert "\n" not in message
    assert len(message) < 350
    assert not message.endswith(": ")


def test_the_error_names_the_parameters_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(CephError, match=r"size mismatch|Missing key"):
        weights.load(small(), str(broken(tmp_path / "w.pt", "other network")))


@pytest.mark.parametrize("kind", ["missing", "text", "a tensor"])
def test_nothing_to_export(tmp_path: Path, kind: str) -> None:
    file = broken(tmp_path / "a.pt", kind)
    with pytest.raises(CephError, match=r"a\.pt: not a checkpoint: ."):
        weights.export(str(file), str(tmp_path / "b.pt"))
    assert not (tmp_path / "b.pt").exists()


@pytest.mark.parametrize("value", [65504.0, -65504.0])
def test_the_largest_values_that_half_precision_holds(value: float) -> None:
    half = weights.halved({"bias": torch.tensor([1.0, value]), "count": torch.tensor(70000)})
    assert half["bias"].tolist() == [1, value]
    assert half["count"] == 70000


@pytest.mark.parametrize("value", [66000.0, -1e9])
def test_values_that_half_precision_cannot_hold(tmp_path: Path, value: float) -> None:
    state = {"first.bias": torch.zeros(3), "norm.running_var": torch.tensor([1.0, value]), "count": torch.tensor(70000)}
    torch.save({"network": state}, tmp_path / "a.pt")
    with pytest.raises(CephError, match=r"a\.pt: norm\.running_var has values above 65504, too large"):
        weights.export(str(tmp_path / "a.pt"), str(tmp_path / "b.pt"))
    assert not (tmp_path / "b.pt").exists()


def test_the_model_has_a_name_and_a_mean_shape() -> None:
    model = weights.model()
    assert model["name"]
    assert model["version"]
    shape = np.array(model["mean_shape"])
    assert shape.shape == (NUM_LANDMARKS, 2)
    assert np.abs(shape.mean(axis=0)).max() < 1e-3
    assert np.sqrt((shape**2).sum(axis=1).mean()) == pytest.approx(1, abs=1e-3)


def test_the_mean_shape_is_given_as_it_is_in_the_model() -> None:
    shape = weights.mean_shape()
    assert shape == weights.model()["mean_shape"]
    assert np.sqrt((np.array(shape) ** 2).sum(axis=1).mean()) == pytest.approx(1, abs=1e-3)


def test_a_head_that_faces_right_and_stands_upright() -> None:
    sella, nasion, menton = (np.array(weights.model()["mean_shape"])[index] for index in (0, 1, 7))
    assert nasion[1] > sella[1]
    assert menton[0] > nasion[0]


def test_the_shipped_weights_are_small() -> None:
    assert sum(Path(weights.path(stage)).stat().st_size for stage in STAGES) < 25_000_000


@pytest.mark.parametrize("stage", STAGES)
def test_the_shipped_weights_are_finite_and_fit(stage: str) -> None:
    kind = EfficientNetHeatmapUNet if stage == "context" else HeatmapUNet
    network = weights.load(kind(), weights.path(stage))
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_a_shipped_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "local.pt"
    weights.export(weights.path("local"), str(changed))
    weights.load(HeatmapUNet(), str(changed))
    # the same file in the place of the shipped one
    state = torch.load(changed, weights_only=True)
    state[next(iter(state))] += 1
    torch.save(state, changed)
    weights.load(HeatmapUNet(), str(changed))
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    weights.model()
    monkeypatch.chdir(tmp_path)
    for refused in (lambda: weights.load(HeatmapUNet(), "local.pt"), lambda: weights.path("local")):
        with pytest.raises(CephError, match=r"local\.pt: not the weights that this version ships"):
            refused()


def test_the_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second")
    both = str(tmp_path / "a"), str(tmp_path / "b")
    assert weights.sha256(*both) == hashlib.sha256(b"firstsecond").hexdigest()
    assert weights.sha256(*both) != weights.sha256(*reversed(both))
    shipped = [weights.path(stage) for stage in STAGES]
    assert weights.sha256(*shipped) == weights.sha256(*shipped)


def test_the_hash_follows_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    before = weights.sha256(str(tmp_path / "a"))
    (tmp_path / "a").write_bytes(b"after")
    assert weights.sha256(str(tmp_path / "a")) != before


def test_figures_on_films_of_the_training_are_called_so() -> None:
    shipped = {stage: weights.path(stage) for stage in STAGES}
    for split in ("train", "test1", "test2", "all"):
        assert str(weights.training_figures_note(shipped, "isbi2015", split)).startswith("TRAINING FIGURES: ")
    # one shipped network is enough
    assert weights.training_figures_note({"global": weights.path("global"), "local": "own.pt"}, "isbi2015", "train")
    assert weights.training_figures_note({"local": "own.pt", "context": None}, "isbi2015", "train") is None
    assert weights.training_figures_note(shipped, "aariz", "train") is None
    assert weights.training_figures_note(shipped, "folder", "train") is None
