"""Prepare networks for inference: fold batch normalisations into convolutions, and choose what computes them.

With fixed statistics, a batch normalisation is a factor and an offset per channel, which the convolution before it can
apply itself (Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference, section 3.2). Its output is then written once instead of twice and, in bfloat16, rounded once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monai_ceph.errors import CephError
from monai_ceph.networks.unet import PaddedNetwork

if TYPE_CHECKING:
    from ignite.engine import Engine

    from monai_ceph.networks.quantization import ActivationRanges

__all__ = ["RUNTIMES", "FoldNetworks", "fold"]

RUNTIMES = ("torch", "openvino")
"""What can compute the networks."""

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
# relative to the largest logit: rounding in single precision, or TF32 on a GPU, may change the logits by this much
_TOLERANCE = 0.01


def fold(
    network: nn.Module | None, runtime: str = "torch", ranges: ActivationRanges | None = None
) -> dict[PaddedNetwork, nn.Module]:
    """Put a module into evaluation mode, and fold the batch normalisations of every :class:`PaddedNetwork` in it.

    With mixed precision, the weights of the convolutions become bfloat16, so that no call converts them. A network
    whose logits would change, because another layer also uses the output of a convolution, stays unfolded. A folded
    network has a different state dictionary. None is accepted, and nothing happens.

    Args:
        network: what is prepared, in place.
        runtime: ``openvino`` also replaces each ``unet`` by a :class:`~monai_ceph.networks.openvino_unet.OpenVinoUNet`.
            It ignores mixed precision.
        ranges: input ranges of the layers that OpenVINO computes in 8-bit integers; None: all in single precision.

    Returns:
        The networks that were changed, each with its ``unet`` from before.

    Raises:
        CephError: if the runtime is unknown, or cannot compute the network.
    """
    if runtime not in RUNTIMES:
        raise CephError(f"runtime must be {' or '.join(RUNTIMES)}, got {runtime!r}")
    before: dict[PaddedNetwork, nn.Module] = {}
    if network is None:
        return before
    for each in list(network.eval().modules()):
        if not isinstance(each, PaddedNetwork):
            continue
        folded = _folded(each, each.mixed_precision and runtime == "torch")
        if runtime == "openvino":
            from monai_ceph.networks.openvino_unet import OpenVinoUNet

            folded = OpenVinoUNet(each.unet if folded is None else folded, ranges)
        if folded is not None:
            before[each], each.unet = each.unet, folded
    return before


class FoldNetworks:
    """Ignite handler: folds networks when an engine starts, and restores them when it ends.

    Args:
        networks: modules to fold; None is skipped.
        runtime: see :func:`fold`.
        ranges: one for each of ``networks``, see :func:`fold`; empty: None for all.

    Raises:
        ValueError: if there are more or fewer ranges than networks.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module | None],
        runtime: str = "torch",
        ranges: Sequence[ActivationRanges | None] = (),
    ) -> None:
        if ranges and len(ranges) != len(networks):
            raise ValueError(f"{len(ranges)} ranges for {len(networks)} networks")
        self._networks, self._runtime, self._ranges = networks, runtime, ranges or (None,) * len(networks)
        self._before: dict[PaddedNetwork, nn.Module] = {}

    def attach(self, engine: Engine) -> None:
        """Register the handler. Attach it after the handlers that load weights."""
        # Ignite takes longer to import than this file, and detection does not need it
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, self._fold)
        engine.add_event_handler(Events.COMPLETED, self._restore)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._restore_and_raise)

    def _fold(self) -> None:
        for network, ranges in zip(self._networks, self._ranges, strict=True):
            self._before |= fold(network, self._runtime, ranges)

    def _restore(self) -> None:
        for network, unet in self._before.items():
            network.unet = unet
        self._before.clear()

    def _restore_and_raise(self, _engine: Engine, error: BaseException) -> None:
        self._restore()
        raise error


def _folded(network: PaddedNetwork, mixed_precision: bool) -> nn.Module | None:
    """Return the folded ``unet`` of a network; None if there is nothing to fold, or folding changes the logits."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return None
    unet = copy.deepcopy(network.unet)
    reference = next(unet.parameters())
    film = torch.rand(1, 1, 2 * network.stride, 2 * network.stride, generator=torch.Generator().manual_seed(0))
    film = film.to(reference)
    names = {module: name for name, module in unet.named_modules()}
    with torch.no_grad():
        expected = unet(film)
        pairs = _pairs(unet, film)
        for convolution, norm in pairs:
            fused = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, nn.ConvTranspose2d))
            unet.set_submodule(names[convolution], fused)
            unet.set_submodule(names[norm], nn.Identity())
        apart = (unet(film) - expected).abs().max()
    if not apart <= _TOLERANCE * expected.abs().max():
        return None
    if mixed_precision:
        for module in unet.modules():
            if isinstance(module, _CONVOLUTIONS):
                module.to(torch.bfloat16)
    return unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _pairs(unet: nn.Module, film: torch.Tensor) -> list[tuple[Any, nn.BatchNorm2d]]:
    """Return each batch normalisation with the convolution before it."""
    made: dict[int, tuple[nn.Module, torch.Tensor]] = {}
    pairs = []

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, _CONVOLUTIONS):
            # keep the output, or another tensor could get its id
            made[id(output)] = (module, output)
        elif isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    watched = [module for module in unet.modules() if isinstance(module, (*_CONVOLUTIONS, nn.BatchNorm2d))]
    hooks = [module.register_forward_hook(watch) for module in watched]
    unet(film)
    for hook in hooks:
        hook.remove()
    return pairs
