"""How long the parts of a detection take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["Clock"]


class Clock:
    """Measures parts of the work on one device.

    Attributes:
        seconds: by the name of the part.
    """

    def __init__(self, device: str | torch.device) -> None:
        # a config may name its device by a string
        self.device = torch.device(device)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the time of the block."""
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            # a GPU works through a queue: wait until it is empty
            torch.cuda.synchronize(self.device)
        self.seconds[name] = time.perf_counter() - start
