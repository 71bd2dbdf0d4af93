"""A network's ``unet`` that OpenVINO computes instead of torch."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from monai_ceph.errors import CephError
from monai_ceph.networks.openvino_graph import UNetGraph
from monai_ceph.networks.quantization import ActivationRanges, quantize

if TYPE_CHECKING:
    from openvino import CompiledModel

__all__ = ["OpenVinoUNet", "Part"]

_TELEMETRY = "openvino_telemetry"

Part = tuple[int, slice, slice]
"""A channel, rows and columns."""


class OpenVinoUNet(nn.Module):
    """Computes a folded ``unet`` by OpenVINO, with as many threads as torch has at the first call.

    Args:
        unet: folded (:func:`monai_ceph.networks.fold`), on the CPU.
        ranges: input ranges of the layers to compute in 8-bit integers; None: all compute in single precision.

    Raises:
        CephError: if OpenVINO is not installed, the network is not on the CPU, has a layer that the graph does not
            know, or the ranges do not fit it.
    """

    def __init__(self, unet: nn.Module, ranges: ActivationRanges | None = None) -> None:
        super().__init__()
        _import_openvino()
        if any(each.device.type != "cpu" for each in unet.parameters()):
            raise CephError("runtime openvino computes on the CPU: set the device to cpu, or runtime to torch")
        self._graph = UNetGraph(unet)
        if ranges:
            quantize(self._graph.convolutions, ranges)
        self._compiled: dict[int | None, CompiledModel] = {}
        self._lock = threading.Lock()

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, channel, row, column), channels last in memory, from films (batch, 1, row, column)."""
        logits = self._infer(None, [_array(films)])[0]
        return torch.from_numpy(logits).permute(0, 3, 1, 2)

    def probabilities(self, film: torch.Tensor, parts: Sequence[Part]) -> list[torch.Tensor]:
        """Return the softmax over all channels, of one channel in a part of a film, for each of the parts.

        Args:
            film: (1, 1, row, column).
            parts: channel, rows and columns, inside the film.
        """
        # one pixel for each part that is not needed, because a model for each number of parts would be compiled
        count = max(self._graph.channels, len(parts))
        start, stop = np.zeros((count, 4), np.int32), np.ones((count, 4), np.int32)
        for number, (channel, rows, columns) in enumerate(parts):
            start[number] = 0, channel, rows.start, columns.start
            stop[number] = 1, channel + 1, rows.stop, columns.stop
        values, sums = map(torch.from_numpy, self._infer(count, [_array(film), start, stop]))
        sums = sums[0, 0]
        if not (sums.isfinite() & (sums > 0)).all():
            # an exponential was too large or too small for single precision
            whole = self(film)[0].softmax(dim=0)
            return [whole[channel, rows, columns] for channel, rows, columns in parts]
        shapes = [(rows.stop - rows.start, columns.stop - columns.start) for _, rows, columns in parts]
        areas = [height * width for height, width in shapes]
        logits = values[: sum(areas)].split(areas)
        return [
            each.view(shape).exp_().div_(sums[rows, columns])
            for each, shape, (_, rows, columns) in zip(logits, shapes, parts, strict=True)
        ]

    def _infer(self, count: int | None, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Run the model of so many parts, or of all logits."""
        # a request of its own, since several threads may call at once
        request = self._model(count).create_infer_request()
        results = request.infer(inputs, share_inputs=True)
        return [results[number] for number in range(len(results))]

    def _model(self, count: int | None) -> CompiledModel:
        import openvino

        with self._lock:
            if count not in self._compiled:
                model = self._graph.logits_model() if count is None else self._graph.parts_model(count)
                settings: dict[str, Any] = {
                    "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                    # only some processors have bfloat16, and points would depend more on the processor
                    "INFERENCE_PRECISION_HINT": "f32",
                    "NUM_STREAMS": 1,
                    # several workers would pin their threads to the same cores
                    "ENABLE_CPU_PINNING": False,
                }
                self._compiled[count] = openvino.Core().compile_model(model, "CPU", settings)
            return self._compiled[count]


def _import_openvino() -> None:
    """Import OpenVINO without its telemetry, which it does not need.

    The telemetry creates a folder in the user's home, and can tell OpenVINO's makers what is used.

    Raises:
        CephError: if OpenVINO is not installed.
    """
    hidden = {} if "openvino" in sys.modules else dict.fromkeys({_TELEMETRY} - sys.modules.keys())
    # None makes an import fail as if the package were not installed
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise CephError(f"runtime openvino needs OpenVINO: pip install 'monai-ceph[openvino]' ({error})") from error
    finally:
        for name in hidden:
            del sys.modules[name]


def _array(films: torch.Tensor) -> np.ndarray:
    return films.detach().float().contiguous().numpy()
