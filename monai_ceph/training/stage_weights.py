"""Load the network of one stage from a file of that network, or from the file that holds all stages of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["StageWeights"]


class StageWeights:
    """The network of one stage, as MONAI's CheckpointLoader takes it.

    It loads a file with the weights of this network, such as the ``final.pt`` of a training, or its part of
    ``models/model.pt`` of a bundle (see :class:`monai_ceph.zoo.networks.StageNetworks`).

    Args:
        network: the network of the stage.
        stage: ``global``, ``local`` or ``context``.
        strict: whether the file must have all weights of the network; see :meth:`torch.nn.Module.load_state_dict`.
    """

    def __init__(self, network: nn.Module, stage: str, strict: bool = True) -> None:
        self.network, self.prefix, self.strict = network, f"{stage}_network.", strict

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of the network."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the stage's part of ``state``, or all of ``state`` if no key has the prefix of the stage.

        Raises:
            RuntimeError: if the weights do not fit the network.
        """
        own = {key.removeprefix(self.prefix): value for key, value in state.items() if key.startswith(self.prefix)}
        self.network.load_state_dict(own or state, strict=self.strict)
