"""The networks in the graph: exported by torch, and called on films of any size."""

from __future__ import annotations

import logging
import warnings

import ndonnx as ndx
import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
import torch

from monai_ceph.errors import CephError
from monai_ceph.networks import PaddedNetwork
from monai_ceph.onnx_graph.geometry import Array, constant

__all__ = ["OPSET", "GraphNetwork"]

OPSET = 21
"""Version of the ONNX operators: runtimes have it from 2024 on."""


class GraphNetwork:
    """A network as part of the graph; calling it records it, so call it once, or the file holds its weights twice.

    Args:
        network: with folded normalisations, in single precision.
        name: of the stage, for the error.

    Raises:
        CephError: if torch cannot export the network.
    """

    def __init__(self, network: PaddedNetwork, name: str) -> None:
        self.stride, self.mean, self.sd = network.stride, network.mean, network.sd
        self.model = _exported(network, name)

    def __call__(self, films: Array) -> Array:
        """Return logits (batch, landmarks + 1, row, column) from films (batch, row, column) in 0..1."""
        rows, columns = films.dynamic_shape[1], films.dynamic_shape[2]
        grey = (films - self.mean) / self.sd
        ends = [(-size) % self.stride for size in (rows, columns)]
        pads = ndx.concat([constant([0] * 6, np.int64), *(each[None] for each in ends)])
        padded = op.pad(grey[:, None, ...].unwrap_spox(), pads.unwrap_spox())
        (logits,) = spox.inline(self.model)(padded).values()
        return ndx.asarray(logits)[:, :, :rows, :columns]


def _exported(network: PaddedNetwork, name: str) -> onnx.ModelProto:
    stride = network.stride
    side = torch.export.Dim("rows", min=1, max=1024), torch.export.Dim("columns", min=1, max=1024)
    shapes = ({0: torch.export.Dim.AUTO, 2: stride * side[0], 3: stride * side[1]},)
    film = torch.zeros(2, 1, 4 * stride, 6 * stride)
    level = logging.root.manager.disable
    # torch warns of torchvision's operators, which no network here has
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network.unet, (film,), dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False
            )
    except Exception as error:  # torch does not document which exceptions it raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CephError(f"the {name} network cannot be exported to ONNX ({reason})") from error
    finally:
        logging.disable(level)
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    # names of torch's internals, larger than the graph
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    return model
