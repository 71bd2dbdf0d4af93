from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from PIL import Image
from torch import nn

from monai_ceph import weights
from monai_ceph.networks import HeatmapUNet, PaddedNetwork
from monai_ceph.networks.efficientnet import EfficientNetHeatmapUNet
from monai_ceph.networks.folding import FoldNetworks, fold
from monai_ceph.readers import read_radiograph
from monai_ceph.zoo.networks import StageNetworks


def shipped(stage: str, mixed_precision: bool = False) -> PaddedNetwork:
    network = (EfficientNetHeatmapUNet if stage == "context" else HeatmapUNet)(mixed_precision=mixed_precision)
    return weights.load(network, weights.path(stage)).eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("stage", weights.STAGES)
class TestShippedNetworks:
    def test_a_folded_network_gives_the_same_logits(self, stage: str) -> None:
        network, film = shipped(stage), torch.rand(2, 1, 75, 90, generator=torch.Generator().manual_seed(1))
        assert norms(network) >= 8
        with torch.inference_mode():
            expected = network(film)
            assert list(fold(network)) == [network]
            found = network(film)
        assert norms(network) == 0
        assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))

    def test_heatmaps_in_bfloat16_are_those_of_single_precision(self, stage: str, film: Path) -> None:
        """On a film at the stage's scale: on noise all heatmaps would be empty, and so agree in any case."""
        side = {"global": 290, "local": 968, "context": 484}[stage]
        seen = Image.fromarray(read_radiograph(film).pixels).resize((side, side), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(seen, dtype=np.float32))[None, None, -320:, -320:] / 255
        network = shipped(stage, mixed_precision=True)
        with torch.inference_mode():
            exact = shipped(stage)(pixels).softmax(1)
            fold(network)
            logits = network(pixels)
        types = {each.weight.dtype for each in network.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))}
        assert types == {torch.bfloat16}
        assert logits.dtype == torch.float32
        assert exact[:, :-1].max() > 0.5
        # offsets of up to 46 in the context network are rounded by up to 0.125
        assert (logits.softmax(1) - exact).abs().max() < 0.15


class _Twice(nn.Module):
    """Takes the convolution's answer besides its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        nn.init.constant_(self.norm.bias, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.convolution(x)
        normed: torch.Tensor = self.norm(seen)
        return normed + seen


@pytest.mark.parametrize(
    "network",
    [PaddedNetwork(_Twice(), 4, True), HeatmapUNet((4, 8), num_landmarks=2, norm="instance"), nn.Conv2d(1, 3, 3), None],
)
def test_networks_that_cannot_be_folded_are_unchanged(network: nn.Module | None) -> None:
    unet = getattr(network, "unet", None)
    assert fold(network) == {}
    if network is not None:
        assert not network.training
        assert getattr(network, "unet", None) is unet
        assert {value.dtype for value in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(("change", "folded"), [(0.002, True), (0.05, False), (0.3, False)])
def test_folds_only_if_logits_change_by_less_than_a_hundredth_of_the_largest(change: float, folded: bool) -> None:
    torch.manual_seed(0)
    unet = _Twice()
    nn.init.zeros_(unet.norm.bias)
    film = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # the fold puts the normalisation's bias into both terms of the sum, so that logits change by the bias
        largest = float(unet.eval()(film).abs().max())
        nn.init.constant_(unet.norm.bias, change * largest)
    assert bool(fold(PaddedNetwork(unet, 4, False))) is folded


class TestHandler:
    def networks(self) -> StageNetworks:
        local, other = (HeatmapUNet((4, 8), num_landmarks=2, mixed_precision=True) for _ in range(2))
        return StageNetworks(local, global_network=other)

    def test_the_handler_folds_only_while_the_engine_runs(self) -> None:
        networks = self.networks()
        before = {name: value.clone() for name, value in networks.state_dict().items()}
        seen = []
        engine = Engine(lambda *_: seen.append(norms(networks)))
        FoldNetworks([networks, networks.global_network, None]).attach(engine)
        # a second run loads weights again: they have to fit
        for _ in range(2):
            engine.run([0])
            after = networks.state_dict()
            assert after.keys() == before.keys()
            assert all(torch.equal(after[name], value) for name, value in before.items())
        assert seen == [0, 0]

    def test_an_error_is_raised_and_leaves_the_networks_as_they_were(self) -> None:
        networks = self.networks()
        count = norms(networks)

        def fail(*_: object) -> None:
            assert norms(networks) == 0
            raise ZeroDivisionError

        engine = Engine(fail)
        FoldNetworks([networks]).attach(engine)
        with pytest.raises(ZeroDivisionError):
            engine.run([0])
        assert norms(networks) == count > 0
