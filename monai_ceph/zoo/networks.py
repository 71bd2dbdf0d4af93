"""The networks of all stages as one, so that one file of weights deploys them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["StageNetworks", "StageWeights"]


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


class StageWeights:
    """The network of one stage, as MONAI's CheckpointLoader takes it.

    It loads its part of ``models/model.pt``, or a file that holds the weights of this network alone, such as the
    ``final.pt`` of a training.

    Args:
        network: of the stage.
        name: under which :class:`StageNetworks` has it.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self.network, self.prefix = network, f"{name}."

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the network alone."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the stage's part of ``state``, or all of it if no part has the stage's name.

        Raises:
            RuntimeError: if it does not fit the network.
        """
        own = {key.removeprefix(self.prefix): value for key, value in state.items() if key.startswith(self.prefix)}
        self.network.load_state_dict(own or state)
