"""A data loader whose random draws depend on the place in the training run, so that a resumed run continues them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.data.utils import set_rnd

__all__ = ["ResumeDraws", "SeededDataLoader"]


class SeededDataLoader(DataLoader):
    """MONAI's DataLoader with one seed for each pass over the films.

    The seed of a pass follows from ``seed``, the rank of the process and the number of the pass. It determines the
    order of the films and what random transforms draw. So a run that was interrupted draws the same as one that was
    not, if the dataset, the batch size and ``num_workers`` are the same.

    Args:
        dataset: the films, with their transforms.
        seed: of the run.
        kwargs: see MONAI's DataLoader.
    """

    def __init__(self, dataset: Any, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(dataset, generator=torch.Generator(), **kwargs)
        self._seed = seed
        self._next_pass, self._skip = 0, 0

    def start_at(self, iteration: int) -> None:
        """Let the next pass begin after this many batches of the run, which are loaded and thrown away."""
        self._next_pass, self._skip = divmod(iteration, max(1, len(self)))

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the next pass."""
        number, skip = self._next_pass, self._skip
        self._next_pass, self._skip = number + 1, 0
        self._seed_pass(number)
        batches = super().__iter__()
        for _ in range(skip):
            next(batches)
        yield from batches

    def _seed_pass(self, number: int) -> None:
        rank = int(os.environ.get("RANK", "0"))
        entropy = [self._seed % 2**32, rank, number]
        order, transforms = map(int, np.random.SeedSequence(entropy).generate_state(2))
        self.generator.manual_seed(order)
        if self.num_workers == 0:
            # worker processes seed their transforms by the generator
            set_rnd(self.dataset, transforms)


class ResumeDraws:
    """Ignite handler that lets a loader continue where the checkpoint was saved. Attach it after CheckpointLoader.

    Args:
        loader: the training data.
    """

    def __init__(self, loader: SeededDataLoader) -> None:
        self._loader = loader

    def attach(self, engine: Engine) -> None:
        """Attach the handler to a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)

    def _start(self, engine: Engine) -> None:
        self._loader.start_at(engine.state.iteration)
