"""The networks as OpenVINO models, built layer by layer: tracing them would take longer than detecting on ten films."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.networks.layers.simplelayers import SkipConnection
from monai.networks.nets import FlexibleUNet, UNet
from monai.networks.nets.basic_unet import UpCat
from monai.networks.nets.efficientnet import MBConvBlock
from torch import nn

from monai_ceph.errors import CephError
from monai_ceph.networks.efficientnet import EfficientNetLite0Encoder

if TYPE_CHECKING:
    from openvino import Model

__all__ = ["UNetGraph"]


class UNetGraph:
    """The ``unet`` of a :class:`~monai_ceph.networks.PaddedNetwork` as a graph of OpenVINO, in single precision.

    Args:
        unet: folded (:func:`monai_ceph.networks.fold`), in evaluation mode.

    Attributes:
        channels: number of channels of the logits.
        convolutions: the nodes of convolutions, by the name that the layer has in ``unet``.

    Raises:
        CephError: if the network has a layer that no network here has.
    """

    channels: int
    convolutions: dict[str, Any]

    def __init__(self, unet: nn.Module) -> None:
        from openvino import opset13

        self._ops = opset13
        self._names = {module: name for name, module in unet.named_modules()}
        self.convolutions = {}
        self._film = opset13.parameter([-1, 1, -1, -1], np.float32, name="film")
        with torch.no_grad():
            self._logits = self._layer(unet, self._film)
        self.channels = self._logits.output(0).get_partial_shape()[1].get_length()

    def logits_model(self) -> Model:
        """Return a model with the input ``film``, (batch, 1, row, column), multiples of the network's stride.

        Its output are the logits, (batch, row, column, channel): OpenVINO computes with the channels last.
        """
        import openvino

        channels_last = self._ops.transpose(self._logits, np.array([0, 2, 3, 1]))
        return openvino.Model([self._ops.result(channels_last)], [self._film], "logits")

    def parts_model(self, count: int) -> Model:
        """Return a model that gives the logits of single channels in parts of a film.

        All logits are 20 times as many, and copying them takes a quarter of the time.

        Its inputs are ``film``, (1, 1, row, column), and where each part starts and stops, ``start`` and ``stop``,
        (count, 4): 0, channel, row, column, as in a slice. Its outputs are the logits of all parts in one row, and
        the sums of the exponentials of all channels, (1, 1, row, column).
        """
        import openvino

        ops = self._ops
        starts, stops = (ops.parameter([count, 4], np.int32, name=name) for name in ("start", "stop"))
        each = np.ones(4, np.int32)
        parts = []
        for number in range(count):
            start, stop = (ops.gather(places, np.array(number), np.array(0)) for places in (starts, stops))
            part = ops.slice(self._logits, start, stop, each)
            parts.append(ops.reshape(part, np.array([-1]), special_zero=False))
        sums = ops.reduce_sum(ops.exp(self._logits), np.array([1]), True)
        results = [ops.result(ops.concat(parts, axis=0)), ops.result(sums)]
        return openvino.Model(results, [self._film, starts, stops], "parts")

    @singledispatchmethod
    def _layer(self, module: nn.Module, x: Any) -> Any:
        """Return the output of a layer as a node of the graph."""
        raise _cannot(type(module).__name__)

    @_layer.register(nn.Identity)
    @_layer.register(nn.Dropout)
    def _(self, module: nn.Module, x: Any) -> Any:
        return x

    @_layer.register
    def _(self, module: nn.Sequential, x: Any) -> Any:
        for each in module:
            x = self._layer(each, x)
        return x

    @_layer.register
    def _(self, module: UNet, x: Any) -> Any:
        return self._layer(module.model, x)

    @_layer.register
    def _(self, module: SkipConnection, x: Any) -> Any:
        if module.mode != "cat" or module.dim != 1:
            raise _cannot(f"a skip connection by {module.mode}")
        return self._concatenated(x, self._layer(module.submodule, x))

    @_layer.register
    def _(self, module: nn.Conv2d, x: Any) -> Any:
        return self._convolved(module, x)

    @_layer.register
    def _(self, module: nn.ConvTranspose2d, x: Any) -> Any:
        if module.groups != 1:
            raise _cannot("a grouped transposed convolution")
        padding = list(module.padding)
        made = self._ops.convolution_backprop_data(
            x,
            _values(module.weight),
            list(module.stride),
            pads_begin=padding,
            pads_end=padding,
            dilations=list(module.dilation),
            output_padding=list(module.output_padding),
        )
        self.convolutions[self._names[module]] = made
        return self._biased(made, module.bias)

    @_layer.register
    def _(self, module: nn.BatchNorm2d, x: Any) -> Any:
        # one that could not be folded
        assert module.running_mean is not None
        assert module.running_var is not None
        factor = module.weight / (module.running_var + module.eps).sqrt()
        offset = module.bias - module.running_mean * factor
        return self._ops.add(self._ops.multiply(x, _per_channel(factor)), _per_channel(offset))

    @_layer.register
    def _(self, module: nn.PReLU, x: Any) -> Any:
        return self._ops.prelu(x, _values(module.weight))

    @_layer.register
    def _(self, module: nn.ReLU, x: Any) -> Any:
        return self._ops.relu(x)

    @_layer.register
    def _(self, module: nn.ReLU6, x: Any) -> Any:
        return self._ops.clamp(x, 0.0, 6.0)

    @_layer.register
    def _(self, module: nn.Upsample, x: Any) -> Any:
        if module.mode != "nearest" or module.scale_factor is None:
            raise _cannot(f"upsampling by {module.mode}")
        scale = module.scale_factor
        return self._ops.interpolate(
            x,
            np.array(scale if isinstance(scale, tuple) else (scale, scale), np.float32),
            "nearest",
            "scales",
            axes=np.array([2, 3]),
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    @_layer.register
    def _(self, module: MBConvBlock, x: Any) -> Any:
        if module.has_se:
            raise _cannot("squeeze and excitation")
        y = x
        if module.expand_ratio != 1:
            y = self._layer(module._bn0, self._padded(module._expand_conv_padding, module._expand_conv, y))
            y = self._layer(module._swish, y)
        y = self._layer(module._bn1, self._padded(module._depthwise_conv_padding, module._depthwise_conv, y))
        y = self._layer(module._swish, y)
        y = self._layer(module._bn2, self._padded(module._project_conv_padding, module._project_conv, y))
        if module.id_skip and module.stride == 1 and module.in_channels == module.out_channels:
            y = self._ops.add(y, x)
        return y

    @_layer.register
    def _(self, module: FlexibleUNet, x: Any) -> Any:
        features = self._features(module.encoder, x)
        # as MONAI's decoder does it
        skips, y = features[:-1][::-1], features[-1]
        for index, block in enumerate(module.decoder.blocks):
            y = self._up(block, y, skips[index] if index < module.skip_connect else None)
        return self._layer(module.segmentation_head, y)

    def _features(self, encoder: Any, x: Any) -> list[Any]:
        """Return the feature maps of an encoder, largest first."""
        if not isinstance(encoder, EfficientNetLite0Encoder):
            raise _cannot(type(encoder).__name__)
        x = self._layer(encoder._bn0, self._padded(encoder._conv_stem_padding, encoder._conv_stem, x))
        x = self._layer(encoder._swish, x)
        features = []
        for index, stack in enumerate(encoder._blocks):
            if index in encoder.extract_stacks:
                features.append(x)
            x = self._layer(stack, x)
        return [*features, x]

    def _up(self, block: UpCat, x: Any, skip: Any | None) -> Any:
        x = self._layer(block.upsample, x)
        return self._layer(block.convs, x if skip is None else self._concatenated(skip, x))

    def _concatenated(self, first: Any, second: Any) -> Any:
        return self._ops.concat([first, second], axis=1)

    def _padded(self, padding: nn.Module, convolution: nn.Conv2d, x: Any) -> Any:
        """Pad and convolve in one operation."""
        if isinstance(padding, nn.Identity):
            return self._convolved(convolution, x)
        if not isinstance(padding, nn.ConstantPad2d) or padding.value != 0:
            raise _cannot(type(padding).__name__)
        return self._convolved(convolution, x, padding.padding)

    def _convolved(self, module: nn.Conv2d, x: Any, padding: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Any:
        """Convolve, with more padding on the left, right, top and bottom."""
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise _cannot(f"padding by {module.padding_mode}")
        rows, columns = module.padding
        left, right, top, bottom = padding
        weight = _values(module.weight)
        call: Callable[..., Any] = self._ops.convolution
        if module.groups != 1:
            call, weight = self._ops.group_convolution, weight.reshape(module.groups, -1, *weight.shape[1:])
        begin, end = [rows + top, columns + left], [rows + bottom, columns + right]
        made = call(x, weight, list(module.stride), begin, end, list(module.dilation))
        self.convolutions[self._names[module]] = made
        return self._biased(made, module.bias)

    def _biased(self, x: Any, bias: torch.Tensor | None) -> Any:
        return x if bias is None else self._ops.add(x, _per_channel(bias))


def _cannot(what: str) -> CephError:
    return CephError(f"runtime openvino cannot compute {what}: set the config key runtime to torch")


def _values(weight: torch.Tensor) -> np.ndarray:
    # not as a view: the network may be trained on
    return np.array(weight.detach().float().contiguous())


def _per_channel(values: torch.Tensor) -> np.ndarray:
    return _values(values).reshape(1, -1, 1, 1)
