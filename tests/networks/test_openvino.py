"""Networks that OpenVINO computes give the logits and the landmarks that torch gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine
from monai.networks.nets import BasicUNet
from torch import nn

from monai_ceph import CephalogramDetector, weights
from monai_ceph.errors import CephError
from monai_ceph.inference_config import inference_config
from monai_ceph.networks import EfficientNetHeatmapUNet, FoldNetworks, HeatmapUNet, PaddedNetwork, fold
from monai_ceph.networks.openvino_unet import OpenVinoUNet
from monai_ceph.networks.quantization import _with_zero, observed_ranges

if "PYTEST_XDIST_WORKER" in os.environ:
    # a process that had run these tests died much later, once, for a reason that is not known
    pytest.skip("OpenVINO is tested in a process of its own (make test-openvino)", allow_module_level=True)
pytest.importorskip("openvino", reason="the extra openvino is not installed (make optional)")

SHIPPED: dict[str, str | None] = {stage: weights.path(stage) for stage in weights.STAGES}


def shipped(stage: str) -> PaddedNetwork:
    network = EfficientNetHeatmapUNet() if stage == "context" else HeatmapUNet()
    return weights.load(network, weights.path(stage)).eval()


def small(**options: Any) -> HeatmapUNet:
    torch.manual_seed(0)
    return HeatmapUNet((4, 8, 16), num_landmarks=3, **options).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("stage", weights.STAGES)
def test_the_logits_of_the_shipped_networks(stage: str) -> None:
    network, films = shipped(stage), [noise(2, 1, 75, 90), noise(1, 1, 160, 64)]
    with torch.inference_mode():
        expected = [network(film) for film in films]
        assert list(fold(network, "openvino")) == [network]
        for film, logits in zip(films, expected, strict=True):
            assert torch.allclose(network(film), logits, atol=1e-4 * float(logits.abs().max()))


@pytest.mark.parametrize("frozen", [False, True])
def test_an_engine_can_set_the_mode_of_a_context_network(frozen: bool) -> None:
    network = EfficientNetHeatmapUNet(num_landmarks=2, frozen_stem=frozen)
    fold(network, "openvino")
    assert not network.eval().training


def test_a_network_with_residual_units_is_refused() -> None:
    with pytest.raises(CephError, match="runtime openvino cannot compute ResidualUnit: set the config key runtime to"):
        fold(small(num_res_units=1), "openvino")


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Upsample(scale_factor=2, mode="bilinear"), "upsampling by bilinear"),
        (nn.Conv2d(1, 1, 3, padding_mode="reflect"), "padding by reflect"),
        (nn.ConvTranspose2d(2, 2, 3, groups=2), "a grouped transposed convolution"),
        (BasicUNet(2, 1, 1), "BasicUNet"),
    ],
)
def test_other_layers_are_refused(layer: nn.Module, said: str) -> None:
    with pytest.raises(CephError, match=f"runtime openvino cannot compute {said}"):
        OpenVinoUNet(layer)


def test_a_normalisation_that_cannot_be_folded() -> None:
    unet = nn.Sequential(nn.PReLU(), nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3, padding=1)).eval()
    unet[1].running_mean.fill_(0.3)
    unet[1].running_var.fill_(4)
    unet[1].weight.data.fill_(5)
    with torch.inference_mode():
        film = noise(1, 1, 8, 8)
        assert torch.allclose(OpenVinoUNet(unet)(film), unet(film), atol=1e-5)


class TestParts:
    def test_they_are_the_softmax_of_their_channel(self) -> None:
        network, film = small(), noise(1, 1, 32, 48)
        parts = [
            (2, slice(0, 32), slice(0, 48)),
            (0, slice(31, 32), slice(5, 40)),
            (2, slice(3, 9), slice(47, 48)),
            (1, slice(0, 8), slice(0, 8)),
            (0, slice(4, 5), slice(4, 5)),
        ]
        with torch.inference_mode():
            expected = network(film)[0].softmax(dim=0)
            fold(network, "openvino")
            # fewer than there are landmarks, and more
            for count in (1, 5):
                found = network.unet.probabilities(network.padded(film), parts[:count])
                assert len(found) == count
                for probability, place in zip(found, parts, strict=False):
                    assert torch.allclose(probability, expected[place], atol=1e-5)

    @pytest.mark.parametrize("offset", [-200.0, 200.0])
    def test_exponentials_that_single_precision_does_not_hold(self, offset: float) -> None:
        last = nn.Conv2d(1, 3, 1)
        nn.init.constant_(last.bias, offset)
        film, place = noise(1, 1, 8, 8), (1, slice(2, 6), slice(0, 8))
        with torch.inference_mode():
            (found,) = OpenVinoUNet(last).probabilities(film, [place])
            assert torch.allclose(found, last(film)[0].softmax(dim=0)[place], atol=1e-5)


class TestIntegers:
    def test_the_shipped_ranges_are_those_of_the_shipped_layers(self) -> None:
        ranges = weights.activation_ranges(SHIPPED)
        for stage, of_layers in ranges.items():
            network = shipped(stage)
            fold(network)
            names = [
                name for name, each in network.unet.named_modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))
            ]
            # the film and the logits stay in single precision
            assert list(of_layers) == names[1:-1]
        assert list(ranges) == list(weights.STAGES)

    def test_other_weights_have_no_ranges(self, tmp_path: Path) -> None:
        assert weights.activation_ranges({}) == {}
        other = tmp_path / "local.pt"
        other.write_bytes(Path(weights.path("local")).read_bytes())
        files = {**SHIPPED, "local": str(other), "context": None}
        assert list(weights.activation_ranges(files)) == ["global"]

    def test_logits_are_close(self) -> None:
        network, film = small(), noise(1, 1, 32, 48)
        fold(network)
        with torch.inference_mode():
            with observed_ranges(network.unet) as ranges:
                expected = network(film)
            exact, rounded = OpenVinoUNet(network.unet), OpenVinoUNet(network.unet, ranges)
            apart = [float((each(film) - expected).abs().max() / expected.abs().max()) for each in (exact, rounded)]
        assert apart[0] < 1e-5
        assert 1e-5 < apart[1] < 0.1

    def test_observed_ranges(self) -> None:
        unet = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
        for each in unet[::2]:
            if isinstance(each, nn.Conv2d):
                nn.init.constant_(each.weight, 1)
        nn.init.constant_(unet[0].weight, 1)
        nn.init.constant_(unet[0].bias, -2)
        nn.init.constant_(unet[1].weight, -3)
        nn.init.constant_(unet[1].bias, 0)
        with torch.inference_mode(), observed_ranges(unet) as ranges:
            unet(torch.full((1, 1, 2, 2), 1.0))
            unet(torch.full((1, 1, 2, 2), 6.0))
        # of the second: 1 - 2 and 6 - 2; of the third: 3 and 0, of the negative value that ReLU removes
        assert ranges == {"1": (-1.0, 4.0), "3": (0.0, 3.0)}
        # nothing is observed afterwards
        with torch.inference_mode():
            unet(torch.full((1, 1, 2, 2), 60.0))
        assert ranges["1"] == (-1.0, 4.0)

    @given(st.floats(-1e3, 0), st.floats(0, 1e3))
    def test_zero_is_a_step(self, low: float, high: float) -> None:
        if high - low < 1e-3:
            return
        first, last = map(float, _with_zero("layer", (low, high)))
        step = (last - first) / 255
        assert abs(first / step - round(first / step)) < 1e-3
        # the range moves by half a step at most
        assert abs(first - low) <= 0.501 * step
        assert abs(last - high) <= 0.501 * step

    @pytest.mark.parametrize("span", [(0, 0), (1, 2), (-2, -1), (0, float("inf")), (float("nan"), 1), (1,), None, "ab"])
    def test_a_wrong_range(self, span: Any) -> None:
        with pytest.raises(CephError, match=r"activation_ranges#model\.0\.conv must be two numbers"):
            fold(small(), "openvino", {"model.0.conv": span})

    def test_a_layer_that_the_network_does_not_have(self) -> None:
        with pytest.raises(CephError, match=r"activation_ranges has the layer model\.9\.conv, which the network"):
            fold(small(), "openvino", {"model.9.conv": (0, 1)})


class TestDetector:
    def test_the_landmarks_of_a_film(self, film: Path) -> None:
        by_torch = CephalogramDetector("cpu", overrides={"mixed_precision": False})
        by_openvino = CephalogramDetector("cpu", overrides={"runtime": "openvino"})
        assert isinstance(by_openvino.network.unet, OpenVinoUNet)
        expected, found = by_torch(film), by_openvino(film)
        # on ISBI's films, integers move a point by 0.8 px on average (benchmarks/JOURNAL.md)
        moved = np.linalg.norm(found.points() - expected.points(), axis=1)
        assert 0 < np.median(moved) < 2
        assert moved.max() < 8
        assert [mark.status for mark in found.landmarks] == [mark.status for mark in expected.landmarks]

    def test_in_single_precision_they_are_the_same(self, film: Path) -> None:
        by_torch = CephalogramDetector("cpu", overrides={"mixed_precision": False})
        by_openvino = CephalogramDetector("cpu", overrides={"runtime": "openvino", "activation_ranges": {}})
        assert np.allclose(by_openvino(film).points(), by_torch(film).points(), atol=0.01)

    def test_what_computes_is_part_of_the_recipe(self) -> None:
        runs: list[dict[str, Any]] = [
            {"runtime": "openvino"},
            {"runtime": "openvino", "mixed_precision": True},
            {"runtime": "openvino", "activation_ranges": {}},
            {"mixed_precision": False},
            {"mixed_precision": False, "activation_ranges": {}},
        ]
        first, mixed, single, by_torch, without = (
            CephalogramDetector("cpu", overrides=run).identity.recipe_sha256 for run in runs
        )
        # OpenVINO ignores mixed precision, and torch the ranges
        assert first == mixed
        assert by_torch == without
        assert len({first, single, by_torch}) == 3

    def test_another_runtime_is_refused(self) -> None:
        with pytest.raises(CephError, match="runtime must be torch or openvino, got 'onnx'"):
            CephalogramDetector("cpu", overrides={"runtime": "onnx"})


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(CephError, match=r"runtime openvino needs OpenVINO: pip install 'monai-ceph\[openvino\]'"):
        fold(small(), "openvino")


def test_nothing_is_sent_about_its_use(tmp_path: Path) -> None:
    """OpenVINO's telemetry creates a folder in the home when it is imported."""
    program = (
        "import sys, torch\n"
        "from monai_ceph.networks.openvino_unet import OpenVinoUNet\n"
        "print(OpenVinoUNet(torch.nn.Conv2d(1, 2, 1))(torch.zeros(1, 1, 4, 4)).shape)\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "torch.Size([1, 2, 4, 4])\n", done.stderr
    assert not (tmp_path / "intel").exists()


def test_the_inference_bundle_takes_the_runtime_and_the_ranges() -> None:
    config = inference_config(overrides={"runtime": "openvino", "device": "$torch.device('cpu')"})
    networks = [config.get_parsed_content(f"{stage}_network") for stage in weights.STAGES]
    handler = next(each for each in config.get_parsed_content("handlers") if isinstance(each, FoldNetworks))
    kinds: list[set[str]] = []

    def collect(_engine: Engine, _batch: int) -> None:
        for network in networks:
            nodes = network.unet._graph.logits_model().get_ordered_ops()
            kinds.append({node.get_type_name() for node in nodes})

    engine = Engine(collect)
    handler.attach(engine)
    engine.run([0])
    assert len(kinds) == 3
    assert all("FakeQuantize" in each for each in kinds)


def test_a_bundle_folds_for_the_time_of_its_run() -> None:
    first, second = small(), small()
    before = first.unet
    engine = Engine(
        lambda _engine, _batch: isinstance(first.unet, OpenVinoUNet) and isinstance(second.unet, OpenVinoUNet)
    )
    FoldNetworks([first, None, second], "openvino", [{"model.1.submodule.0.conv": (-1, 1)}, None, None]).attach(engine)
    engine.run([0])
    assert engine.state.output is True
    assert first.unet is before
    with pytest.raises(ValueError, match="1 ranges for 2 networks"):
        FoldNetworks([first, second], "openvino", [None])
