"""The networks of all stages as one, so that one file of weights deploys them."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["StageNetworks"]


class StageNetworks(nn.Module):
    """All networks of the method under their names in the configs: ``local_network``, ``global_network``, ...

    Its state dictionary is ``models/model.pt`` of a bundle: the keys of a stage begin with its name. A TorchScript or
    a reloaded module has the stages as attributes, ``model.global_network(film)``. Called itself it answers as the
    local network does, whose heatmaps the landmarks are read from.

    Args:
        local_network: returns logits with N landmark channels and the background, last.
        others: the networks that guide it, by name.
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
