"""Whatever may change a model's identity changes its fingerprint, or there is none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from monai_ceph import weights
from monai_ceph.folders import BUNDLES
from monai_ceph.work import fingerprint
from monai_ceph.work.fingerprint import model_fingerprint

OVERLAYS = BUNDLES / "overlays"


def config(path: Path, **keys: Any) -> Path:
    path.write_text(json.dumps(keys), encoding="utf-8")
    return path


def test_the_same_twice(tmp_path: Path) -> None:
    assert len(model_fingerprint("cpu") or "") == 64
    assert model_fingerprint("cpu") == model_fingerprint("cpu")
    overlays = [OVERLAYS / "paper.json", OVERLAYS / "no_expansion.json"]
    assert model_fingerprint(None, overlays) == model_fingerprint(None, overlays) is not None


def test_weights_of_the_same_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "final.pt"
    file.write_bytes(b"one")
    overlay = config(tmp_path / "mine.json", local_weights=str(file))
    before, time = model_fingerprint("cpu", [overlay]), file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=(time, time))
    after = model_fingerprint("cpu", [overlay])
    assert len({before, after, None}) == 3


@pytest.mark.parametrize("stage", weights.STAGES)
def test_shipped_weights(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model_fingerprint("cpu")
    package = fingerprint._PACKAGE
    (tmp_path / "bundles").symlink_to(BUNDLES)
    (tmp_path / "weights").mkdir()
    for name in ("global.pt", "local.pt", "context.pt", "model.json"):
        (tmp_path / "weights" / name).write_bytes((package / "weights" / name).read_bytes())
    code = fingerprint._code()
    monkeypatch.setattr(fingerprint, "_code", lambda: code)
    monkeypatch.setattr(fingerprint, "_PACKAGE", tmp_path)
    assert model_fingerprint("cpu") == before
    with (tmp_path / "weights" / f"{stage}.pt").open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    assert model_fingerprint("cpu") not in (before, None)


def test_a_config(tmp_path: Path) -> None:
    overlay = config(tmp_path / "mine.json", guide_sd=40)
    marks = {model_fingerprint("cpu"), model_fingerprint("cpu", [overlay])}
    config(overlay, guide_sd=41)
    marks |= {
        model_fingerprint("cpu", [overlay]),
        model_fingerprint("cpu", [overlay, OVERLAYS / "no_expansion.json"]),
    }
    marks.add(model_fingerprint("cpu", [OVERLAYS / "no_expansion.json", overlay]))
    assert len(marks | {None}) == 6


def test_the_device_and_who_works(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {model_fingerprint(device) for device in (None, "cpu", "cuda:0", "cuda:1")} | {None}
    marks.add(model_fingerprint("cpu", engine="ray"))
    for name in ("CUDA_VISIBLE_DEVICES", "MONAI_EVAL_EXPR"):
        monkeypatch.setenv(name, "0")
        marks.add(model_fingerprint("cpu"))
    assert len(marks) == 8


def test_another_version_of_the_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {model_fingerprint("cpu"), None}
    for package in ("torch", "monai"):
        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, "version", lambda name, other=package: f"{name} {name == other}")
            marks.add(model_fingerprint("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "__version__", "99")
        marks.add(model_fingerprint("cpu"))
    # such as a build for GPUs of the same version, and a clone that is worked on
    (tmp_path / "version.py").write_text("cuda = '99'")
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_of", lambda package: tmp_path / "__init__.py")
        marks.add(model_fingerprint("cpu"))
    code = fingerprint._code()
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_code", lambda: [*code, tmp_path / "version.py"])
        marks.add(model_fingerprint("cpu"))
    assert len(marks) == 7


def processor(path: Path, flags: str) -> Path:
    path.write_text(f"processor\t: 0\nmodel name\t: A\ncpu MHz\t: {len(flags)}\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    return path


def test_another_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "_CPUINFO", processor(tmp_path / "cpuinfo", "fpu avx2"))
    before = model_fingerprint("cpu")
    processor(tmp_path / "cpuinfo", "fpu avx2 avx512_bf16")
    assert model_fingerprint("cpu") not in (before, None)
    # it is not asked where the config says in what is computed
    overlay = config(tmp_path / "mine.json", mixed_precision=False)
    before = model_fingerprint("cpu", [overlay])
    processor(tmp_path / "cpuinfo", "fpu avx2")
    assert model_fingerprint("cpu", [overlay]) == before is not None
    # and where the system does not tell, nobody knows
    monkeypatch.setattr(fingerprint, "_CPUINFO", tmp_path / "nowhere")
    assert model_fingerprint("cpu") is None
    assert model_fingerprint("cpu", [overlay]) == before


class Driver:
    """Answers as libcuda.so.1 does: no GPU is at hand where the tests run."""

    def __init__(self, *gpus: tuple[bytes, int, int], driver: int = 12040, broken: bool = False) -> None:
        self.gpus, self.driver, self.broken = gpus, driver, broken

    def cuInit(self, flags: int) -> int:
        return 0 if self.gpus else 100

    def cuDriverGetVersion(self, answer: Any) -> int:
        answer._obj.value = self.driver
        return 0

    def cuDeviceGetCount(self, answer: Any) -> int:
        answer._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, answer: Any, number: int) -> int:
        answer._obj.value = number
        return 999 if self.broken else 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = self.gpus[device.value][0]
        return 0

    def cuDeviceGetAttribute(self, answer: Any, attribute: int, device: Any) -> int:
        answer._obj.value = self.gpus[device.value][{75: 1, 76: 2}[attribute]]
        return 0


def test_other_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_driver(driver: Driver) -> str | None:
        monkeypatch.setattr("ctypes.CDLL", lambda name: driver)
        return model_fingerprint(None)

    old, new = (b"NVIDIA T4", 7, 5), (b"NVIDIA H200", 9, 0)
    marks = [with_driver(Driver(*gpus)) for gpus in ((), (old,), (new,), (old, new), (new, old))]
    marks.append(with_driver(Driver(old, driver=13000)))
    assert len({*marks, None}) == 7
    assert with_driver(Driver(old)) == marks[1]
    assert with_driver(Driver(old, broken=True)) is None
    # only the processor works
    on_cpu = model_fingerprint("cpu")
    with_driver(Driver(new))
    assert model_fingerprint("cpu") == on_cpu is not None


@pytest.mark.parametrize(
    "keys",
    [
        {"local_weights": "$sorted(glob('*.pt'))[-1]"},
        {"local_weights": "@output_dir"},
        {"local_weights": {"_target_": "os.getcwd"}},
        {"global_weights": "nowhere.pt"},
        {"mixed_precision": "$bool(os.environ.get('HALF'))"},
        {"device": "$torch.device(os.environ['DEVICE'])"},
        {"landmarks": ["$import os"]},
        {"imports": ["$import mine as weights"]},
        {"+imports": ["$import mine as weights"]},
        {"anything": ["$from mine import weights"]},
        {"+local_weights": "a.pt"},
        {"~local_weights": None},
        {"local_weights::0": "a"},
        {"pose": "%other.json::pose"},
        {"pose": {"size": "%other.yaml"}},
    ],
)
def test_none_where_more_may_matter(tmp_path: Path, keys: dict[str, Any]) -> None:
    assert model_fingerprint("cpu", [config(tmp_path / "mine.json", **keys)]) is None


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("b.json", "[]"), ("c.yaml", "a: ["), ("d.json", "[" * 100_000)]
)
def test_none_where_a_config_cannot_be_read(tmp_path: Path, name: str, text: str) -> None:
    assert model_fingerprint("cpu", [tmp_path / name]) is None
    (tmp_path / name).write_text(text)
    assert model_fingerprint("cpu", [tmp_path / name]) is None


def test_expressions_that_only_build(tmp_path: Path) -> None:
    """They change the recipe by what they are, and the file is part of the fingerprint."""
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("pose: '%inferer'\nguide_sd: $@scale * 2\ndevice: cpu\n")
    assert model_fingerprint(None, [overlay]) is not None
