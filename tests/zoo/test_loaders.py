"""What MONAI's own loaders, and the model zoo's unit tests, make of the bundle."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import runpy
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from forked import printed
from monai.bundle import ConfigParser, download_large_files, load
from monai.networks.utils import copy_model_state

from monai_ceph.errors import CephError
from monai_ceph.networks import HeatmapUNet
from monai_ceph.zoo.bundle import NAME, write_bundle
from monai_ceph.zoo.networks import StageNetworks


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and its address on the loopback interface."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bundle(served: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("zoo") / "models", files_url=f"{served[1]}/files").folder


def loaded(bundle: Path, **options: object) -> torch.nn.Module:
    return load(bundle.name, bundle_dir=str(bundle.parent), source="github", device="cpu", **options)


class TestLoad:
    @pytest.mark.parametrize("options", [{}, {"workflow_type": "inference"}], ids=["default", "inference"])
    def test_the_network_has_every_weight_of_the_model(self, bundle: Path, options: dict[str, str]) -> None:
        state = torch.load(bundle / "models" / "model.pt", weights_only=True)
        network = loaded(bundle, **options)
        assert isinstance(network, StageNetworks)
        found = network.state_dict()
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], value.to(found[key].dtype)) for key, value in state.items())

    def test_weights_of_other_networks_are_refused(self, bundle: Path) -> None:
        file = bundle / "models" / "other.pt"
        torch.save(HeatmapUNet((4, 8)).state_dict(), file)
        with pytest.raises(CephError, match=r"490 of 490 variables are not among them, such as local_network\."):
            loaded(bundle, model_file="models/other.pt")
        file.unlink()

    def test_a_part_is_loaded_on_purpose_only(self, bundle: Path) -> None:
        state = torch.load(bundle / "models" / "model.pt", weights_only=True)
        file = bundle / "models" / "part.pt"
        part = {key: value for key, value in state.items() if key.startswith("local_network.")}
        torch.save(part, file)
        with pytest.raises(CephError, match=rf"{490 - len(part)} of 490 variables"):
            loaded(bundle, model_file="models/part.pt")
        found = loaded(bundle, model_file="models/part.pt", net_override={"complete": False}).state_dict()
        assert all(torch.equal(found[key], value.to(found[key].dtype)) for key, value in part.items())
        file.unlink()


class TestStageNetworks:
    def test_a_weight_of_another_shape_is_refused(self) -> None:
        target, source = StageNetworks(torch.nn.Linear(2, 3)), StageNetworks(torch.nn.Linear(2, 3))
        source.local_network.bias = torch.nn.Parameter(torch.zeros(4))
        with pytest.raises(CephError, match=r"1 of 2 variables are not among them, such as local_network\.bias"):
            copy_model_state(target, source)

    def test_all_weights_of_another_module_are_loaded(self) -> None:
        target, source = (StageNetworks(torch.nn.Linear(2, 3), other=torch.nn.Linear(1, 1)) for _ in range(2))
        copy_model_state(target, source)
        for key, value in source.state_dict().items():
            assert torch.equal(target.state_dict()[key], value)


class TestMetadata:
    def test_no_config_replaces_it(self, bundle: Path) -> None:
        for names in (["inference"], ["train"], ["inference", "overlays/evaluate"]):
            parser = ConfigParser()
            parser.read_meta(str(bundle / "configs" / "metadata.json"))
            parser.read_config([str(bundle / "configs" / f"{name}.json") for name in names])
            assert parser["_meta_"]["name"] == "Cephalogram landmark detection", names

    def test_torchscript_has_it(self, bundle: Path) -> None:
        with zipfile.ZipFile(bundle / "models" / "model.ts") as archive:
            extra = {name: json.loads(archive.read(f"model/extra/{name}.json")) for name in ("metadata", "inference")}
        assert extra["metadata"] == json.loads((bundle / "configs" / "metadata.json").read_text())
        assert "_meta_" not in extra["inference"]

    def test_numpy_installs_on_every_python_that_the_package_takes(self, bundle: Path) -> None:
        """NumPy 2.2 is the last one for Python 3.10, and the first one for 3.13 is 2.1."""
        version = json.loads((bundle / "configs" / "metadata.json").read_text())["numpy_version"]
        assert (2, 1) <= tuple(map(int, version.split(".")[:2])) <= (2, 2)


def test_monai_fetches_the_large_files(bundle: Path, served: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = served
    copy = shutil.copytree(bundle, tmp_path / bundle.name)
    names = [each["path"] for each in yaml.safe_load((copy / "large_files.yml").read_text())["large_files"]]
    assert names == ["models/model.ts"]
    (folder / "files" / "models").mkdir(parents=True)
    digest = hashlib.sha256((copy / names[0]).read_bytes()).hexdigest()
    (copy / names[0]).rename(folder / "files" / names[0])
    download_large_files(bundle_path=str(copy))
    assert hashlib.sha256((copy / names[0]).read_bytes()).hexdigest() == digest


def run_program(path: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    sys.argv = [path]
    runpy.run_path(path, run_name="__main__")


@pytest.mark.parametrize("kind", ["", "_dist"])
def test_the_zoos_unit_tests_pass(bundle: Path, kind: str) -> None:
    """As in the zoo: from its root, with the bundle in the folder models."""
    root = bundle.parents[1]
    tests = root / "ci" / "unit_tests"
    tests.mkdir(parents=True, exist_ok=True)
    name = f"test_{NAME}{kind}.py"
    (tests / name).write_text((bundle / "ci" / "unit_tests" / name).read_text())
    printed(run_program, str(tests / name), folder=root)
    assert not list(root.rglob("runs")), "the tests write into a folder of their own"
