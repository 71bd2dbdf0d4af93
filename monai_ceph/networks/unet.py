"""MONAI's UNet, the network of both stages, and padding that lets a network take grids of any size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import UNet
from torch import nn
from torch.nn import functional as F

from monai_ceph.landmarks import NUM_LANDMARKS

__all__ = ["HeatmapUNet", "PaddedNetwork", "bfloat16_is_native"]


def bfloat16_is_native(device: str | torch.device) -> bool:
    """Return whether a device has instructions for bfloat16, so that it is faster than single precision there.

    x86 CPUs have them as AVX-512 BF16 or AMX, NVIDIA GPUs from compute capability 8.0 on. An older torch cannot
    tell for a CPU; False is returned then.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return False


class PaddedNetwork(nn.Module):
    """A network that takes grids of any size: they are padded to its stride with 0 at the bottom and the right.

    Args:
        unet: takes grids of multiples of ``stride``, and returns logits on them.
        stride: pixels per pixel of the smallest feature map.
        mixed_precision: see :class:`HeatmapUNet`.
        mean: subtracted from the film before padding.
        sd: the film is then divided by this; by default the film is unchanged.
    """

    def __init__(self, unet: nn.Module, stride: int, mixed_precision: bool, mean: float = 0.0, sd: float = 1.0) -> None:
        super().__init__()
        if not isinstance(mixed_precision, bool):
            # on the command line, "false" is a string, which would count as true
            raise ValueError(f"mixed_precision must be True or False, got {mixed_precision!r}")
        self.stride, self.mean, self.sd = stride, mean, sd
        # channels last is the faster layout for the convolutions, on CPUs too
        self.unet: nn.Module = unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mixed_precision = mixed_precision

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, landmarks + 1, row, column) from films (batch, 1, row, column) in about 0..1."""
        return self.as_computed(x).float()

    def as_computed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits in the precision of the computation, for callers that need only part of them."""
        rows, columns = x.shape[-2], x.shape[-1]
        padded = self.padded(x)
        # no autocast context without mixed precision: a disabled one would also disable the caller's
        if self.mixed_precision and not torch.jit.is_scripting():
            with torch.autocast(x.device.type, torch.bfloat16):
                logits = self.unet(padded)
        else:
            logits = self.unet(padded)
        return logits[..., :rows, :columns]

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input of ``unet`` for films (batch, 1, row, column)."""
        rows, columns = x.shape[-2], x.shape[-1]
        padded = F.pad((x - self.mean) / self.sd, (0, -columns % self.stride, 0, -rows % self.stride))
        return padded.contiguous(memory_format=torch.channels_last)


class HeatmapUNet(PaddedNetwork):
    """MONAI's :class:`~monai.networks.nets.UNet` that regresses one channel per landmark and a shared background.

    Zhong et al. 2019, section 2: both stages share this structure and end in a softmax over channels, which is
    left to the loss and to the post-processing (the output is logits). The paper's 290 and 100 pixels are not
    divisible by the network's stride: the input is padded with 0 at the bottom and at the right, and the
    output is cut back, here and nowhere else.

    Args:
        channels: channels of the encoder's levels; each level halves the grid.
        num_landmarks: the output has one more channel, the background, last.
        num_res_units: see MONAI's UNet.
        norm: see MONAI's UNet.
        act: see MONAI's UNet.
        dropout: see MONAI's UNet.
        mixed_precision: convolve in bfloat16 (parameters and logits stay in float32). On CPUs with bfloat16
            instructions and on GPUs this is faster (benchmarks/JOURNAL.md); elsewhere it is slower. TorchScript ignores
            it.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128, 256, 512),
        num_landmarks: int = NUM_LANDMARKS,
        num_res_units: int = 0,
        norm: str = "batch",
        act: str = "prelu",
        dropout: float = 0.0,
        mixed_precision: bool = False,
    ) -> None:
        unet = UNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=num_landmarks + 1,
            channels=channels,
            strides=(2,) * (len(channels) - 1),
            num_res_units=num_res_units,
            norm=norm,
            act=act,
            dropout=dropout,
        )
        super().__init__(unet, 2 ** (len(channels) - 1), mixed_precision)
