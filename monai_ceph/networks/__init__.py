"""The networks: MONAI's UNet for both stages, a UNet on EfficientNet-Lite0, and their folding for inference."""

from monai_ceph.networks.efficientnet import EfficientNetHeatmapUNet, EfficientNetLite0Encoder, imagenet_weights
from monai_ceph.networks.folding import RUNTIMES, FoldNetworks, fold
from monai_ceph.networks.unet import HeatmapUNet, PaddedNetwork, bfloat16_is_native

__all__ = [
    "RUNTIMES",
    "EfficientNetHeatmapUNet",
    "EfficientNetLite0Encoder",
    "FoldNetworks",
    "HeatmapUNet",
    "PaddedNetwork",
    "bfloat16_is_native",
    "fold",
    "imagenet_weights",
]
