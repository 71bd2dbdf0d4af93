"""The networks of all stages in one module, so that one file of weights holds them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from monai_ceph.errors import CephError

__all__ = ["StageNetworks"]


class StageNetworks(nn.Module):
    """All networks of the method under their names in the configs: ``local_network``, ``global_network``, ...

    Its state dictionary is ``models/model.pt`` of a bundle, in which the keys of a stage begin with its name. The
    stages are attributes, in TorchScript too: ``model.global_network(film)``. Calling the module calls the local
    network.

    Args:
        local_network: returns logits of N landmark channels and the background, which is last.
        complete: refuse weights that lack some of the networks' own.
        others: the other networks, by name.
    """

    def __init__(self, local_network: nn.Module, complete: bool = True, **others: nn.Module) -> None:
        super().__init__()
        self.complete = complete
        self.local_network = local_network
        for name, network in others.items():
            self.add_module(name, network)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the local network's logits (batch, N + 1, row, column) of films (batch, 1, row, column)."""
        logits: torch.Tensor = self.local_network(x)
        return logits

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights.

        MONAI's loaders (:func:`monai.networks.utils.copy_model_state`) replace what a file lacks, or has in another
        shape, by the network's present weights: an untrained network would pass as a trained one.

        Raises:
            CephError: if present weights of this module are among those to load, unless it is not ``complete``.
            RuntimeError: if the weights do not fit the networks.
        """
        own = self.state_dict()
        lacking = [key for key, value in own.items() if key in state_dict and _is_same(state_dict[key], value)]
        if self.complete and lacking:
            raise CephError(
                f"the weights do not fit: {len(lacking)} of {len(own)} variables are not among them, such as "
                f"{lacking[0]}, and would stay untrained. To load the others on purpose, build the network with "
                "complete=False"
            )
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors share their memory."""
    return one.numel() > 0 and one.device == other.device and one.data_ptr() == other.data_ptr()
