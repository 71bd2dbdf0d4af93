"""Load the network of one stage from a file of that network, or from the file that holds all stages of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from monai_ceph.errors import CephError

__all__ = ["StageWeights"]


class StageWeights:
    """The network of one stage, as MONAI's CheckpointLoader takes it.

    It loads a file with the weights of this network, such as the ``final.pt`` of a training, or its part of
    ``models/model.pt`` of a bundle (see :class:`monai_ceph.zoo.networks.StageNetworks`).

    Args:
        network: the network of the stage.
        stage: ``global``, ``local`` or ``context``.
        strict: whether the file must have all weights of the network; see :meth:`torch.nn.Module.load_state_dict`.
        file: the file that is loaded, for the error.
    """

    def __init__(self, network: nn.Module, stage: str, strict: bool = True, file: str | None = None) -> None:
        self.network, self.stage, self.strict, self.file = network, stage, strict, file

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of the network."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the stage's part of ``state``, or all of ``state`` if no key has the prefix of the stage.

        Raises:
            CephError: if the weights do not fit the network.
        """
        prefix = f"{self.stage}_network."
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        try:
            self.network.load_state_dict(own or state, strict=self.strict)
        except (RuntimeError, AttributeError) as error:
            file = "" if self.file is None else f"{self.file}: "
            # torch lists all tensors; its first two lines name the class and the kind of difference
            reason = " ".join(" ".join(str(error).splitlines()[:2]).split())
            reason = reason if len(reason) <= 200 else f"{reason[:197]}..."
            raise CephError(f"{file}not weights of the {self.stage} network: {reason}") from error
