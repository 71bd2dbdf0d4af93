from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.networks import HeatmapUNet, bfloat16_is_native


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (25, 9), (1, 3)])
def test_any_grid(size: tuple[int, int]) -> None:
    network = HeatmapUNet((4, 8, 16), num_landmarks=3).eval()
    assert network.stride == 4
    with torch.no_grad():
        logits = network(torch.rand(2, 1, *size))
    assert logits.shape == (2, 4, *size)
    assert logits.isfinite().all()


def test_padding_is_0_at_the_bottom_and_the_right_and_is_cut_away() -> None:
    torch.manual_seed(0)
    network = HeatmapUNet((4, 8, 16)).eval()
    film = torch.rand(1, 1, 13, 18)
    with torch.no_grad():
        padded = network.unet(functional.pad(film, (0, 2, 0, 3)))
        assert torch.equal(network(film), padded[..., :13, :18])
        # a grid that fits is not padded
        fitting = torch.rand(1, 1, 12, 16)
        assert torch.equal(network(fitting), network.unet(fitting))


def test_one_channel_per_landmark_and_the_background_by_default() -> None:
    network = HeatmapUNet().eval()
    assert network.stride == 16
    with torch.no_grad():
        logits = network(torch.zeros(1, 1, 20, 20))
    assert logits.shape == (1, NUM_LANDMARKS + 1, 20, 20)
    # logits, not probabilities: the softmax belongs to the loss and to the post-processing
    assert not torch.allclose(logits.sum(dim=1), torch.ones(1, 20, 20))


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = HeatmapUNet((4, 8, 16), num_landmarks=2)
    network(torch.rand(2, 1, 18, 18)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert sum(float(p.grad.abs().sum()) > 0 for p in network.parameters() if p.grad is not None) > 10


def test_mixed_precision_gives_nearly_the_same_logits_in_single_precision() -> None:
    torch.manual_seed(0)
    exact = HeatmapUNet((4, 8, 16), num_landmarks=2).eval()
    mixed = HeatmapUNet((4, 8, 16), num_landmarks=2, mixed_precision=True).eval()
    mixed.load_state_dict(exact.state_dict())
    film = torch.rand(1, 1, 18, 18)
    logits = mixed(film)
    assert logits.dtype == torch.float32
    assert mixed.as_computed(film).dtype == torch.bfloat16
    assert torch.equal(mixed.as_computed(film).float(), logits)
    assert torch.allclose(logits, exact(film), atol=0.05)
    assert not torch.equal(logits, exact(film))
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in mixed.parameters())


@pytest.mark.parametrize("mixed_precision", [False, True])
def test_torchscript_computes_in_single_precision_on_grids_of_any_size(mixed_precision: bool) -> None:
    torch.manual_seed(0)
    network = HeatmapUNet((4, 8, 16), num_landmarks=2, mixed_precision=mixed_precision).eval()
    script = torch.jit.script(network)
    network.mixed_precision = False
    for size in ((16, 16), (18, 29)):
        film = torch.rand(1, 1, *size)
        assert torch.allclose(script(film), network(film), atol=1e-5)


def test_the_callers_autocast_is_kept() -> None:
    torch.manual_seed(0)
    network = HeatmapUNet((4, 8, 16), num_landmarks=2).eval()
    film = torch.rand(1, 1, 16, 16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        mixed = network(film)
    with torch.no_grad():
        assert not torch.equal(network(film), mixed)


def test_bfloat16_is_native_where_the_processor_says_so() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file() or platform.machine() != "x86_64" or not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("needs /proc/cpuinfo of an x86 CPU, and a torch that says what the CPU has")
    flags = set(cpuinfo.read_text(encoding="utf-8").split())
    assert bfloat16_is_native("cpu") == bool(flags & {"avx512_bf16", "amx_bf16"})
    assert not bfloat16_is_native("meta")
