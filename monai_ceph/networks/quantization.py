"""Convolutions in 8-bit integers, which processors without bfloat16 compute about twice as fast as single precision.

Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
sections 2 and 3: the range of each layer's input is observed on films, and split into 256 steps of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from monai_ceph.errors import CephError

__all__ = ["ActivationRanges", "observed_ranges", "quantize"]

ActivationRanges = Mapping[str, tuple[float, float]]
"""The smallest and the largest input of each convolution, by its name in the network's ``unet``."""

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
# Without VNNI, processors add products of 8 bits in 16 bits, which overflow. With weights of 7 bits they cannot.
_WEIGHT_STEPS = 64


@contextmanager
def observed_ranges(unet: nn.Module) -> Iterator[dict[str, tuple[float, float]]]:
    """Observe the inputs of all convolutions but the first and the last while the block runs.

    These two stay in single precision: the film and the logits need finer steps, and the first costs little time.

    Args:
        unet: folded (:func:`monai_ceph.networks.fold`), and computed by torch.

    Yields:
        The ranges, filled while the network is called.
    """
    ranges: dict[str, tuple[float, float]] = {}
    layers = [(name, module) for name, module in unet.named_modules() if isinstance(module, _CONVOLUTIONS)]
    hooks = [module.register_forward_pre_hook(partial(_observe, ranges, name)) for name, module in layers[1:-1]]
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()


def _observe(
    ranges: dict[str, tuple[float, float]], name: str, _module: nn.Module, inputs: tuple[torch.Tensor, ...]
) -> None:
    low, high = (float(value) for value in inputs[0].aminmax())
    # padding adds zeros
    least, most = ranges.get(name, (0.0, 0.0))
    ranges[name] = min(low, least), max(high, most)


def quantize(convolutions: Mapping[str, Any], ranges: ActivationRanges) -> None:
    """Let convolutions of an OpenVINO model compute in 8-bit integers.

    Args:
        convolutions: nodes by name (:class:`monai_ceph.networks.openvino_graph.UNetGraph`).
        ranges: of those that are to be changed; all others stay in single precision.

    Raises:
        CephError: if a name or a range is wrong.
    """
    from openvino import opset13 as ops

    for name, span in ranges.items():
        if name not in convolutions:
            raise CephError(f"activation_ranges has the layer {name}, which the network does not have")
        low, high = _with_zero(name, span)
        node = convolutions[name]
        rounded = ops.fake_quantize(node.input_value(0), low, high, low, high, 256)
        node.input(0).replace_source_output(rounded.output(0))
        weight = node.input_value(1).get_node().get_data()
        largest = np.abs(weight).max(axis=_all_but_output_channels(node), keepdims=True)
        limit = np.where(largest == 0, 1, largest * (127 / _WEIGHT_STEPS)).astype(np.float32)
        rounded = ops.fake_quantize(ops.constant(weight), -limit, limit, -limit, limit, 255)
        node.input(1).replace_source_output(rounded.output(0))


def _with_zero(name: str, span: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return a range in which 0, the value of padding, is exactly one of the 256 steps."""
    try:
        low, high = (float(value) for value in span)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not (low <= 0 <= high and low < high < np.inf and low > -np.inf):
        raise CephError(f"activation_ranges#{name} must be two numbers, the first at most 0 and the second at least 0")
    step = (high - low) / 255
    zero = round(-low / step)
    return np.array(-zero * step, np.float32), np.array((255 - zero) * step, np.float32)


def _all_but_output_channels(node: Any) -> tuple[int, ...]:
    """Return the axes of a convolution's weights that are not output channels."""
    kind = node.get_type_name()
    axes = {"Convolution": (1, 2, 3), "ConvolutionBackpropData": (0, 2, 3), "GroupConvolution": (2, 3, 4)}
    return axes[kind]
