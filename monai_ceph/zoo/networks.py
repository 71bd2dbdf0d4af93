"""The networks of all stages in one module, so that one file of weights holds them all."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["StageNetworks"]


class StageNetworks(nn.Module):
    """All networks of the method under their names in the configs: ``local_network``, ``global_network``, ...

    Its state dictionary is ``models/model.pt`` of a bundle, in which the keys of a stage begin with its name. The
    stages are attributes, in TorchScript too: ``model.global_network(film)``. Calling the module calls the local
    network.

    Args:
        local_network: returns logits of N landmark channels and the background, which is last.
        others: the other networks, by name.
    """

    def __init__(self, local_network: nn.Module, **others: nn.Module) -> None:
        super().__init__()
        self.local_network = local_network
        for name, network in others.items():
            self.add_module(name, network)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the local network's logits (batch, N + 1, row, column) of films (batch, 1, row, column)."""
        logits: torch.Tensor = self.local_network(x)
        return logits
