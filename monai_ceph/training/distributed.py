"""Training by several processes, one per GPU, that torchrun starts: what ``bundles/overlays/multi_gpu.json`` calls."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, DistributedSampler
from torch import distributed, nn

from monai_ceph.errors import CephError

__all__ = ["ProcessesInStep", "SharedDataLoader", "rank", "share", "start", "this_device"]


def rank() -> int:
    """Return the number of this process among all; 0 draws phantoms, logs and saves."""
    return int(os.environ.get("RANK", "0"))


def this_device() -> torch.device:
    """Return the GPU of this process, the CPU on a machine without one.

    Raises:
        CephError: if there are more processes than GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= gpus:
        raise CephError(f"process {local} has no GPU: this machine has {gpus}; start torchrun --nproc_per_node={gpus}")
    return torch.device("cuda", local)


def start(device: torch.device) -> None:
    """Join the other processes, by NCCL on GPUs and by Gloo on CPUs, and keep all but the first one quiet.

    Raises:
        CephError: if torchrun did not start this process.
    """
    if "RANK" not in os.environ:
        raise CephError(
            "multi_gpu.json needs torchrun: torchrun --standalone --nproc_per_node=GPUS -m monai.bundle ..."
        )
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if gpu else "gloo", device_id=device if gpu else None)
    if rank() > 0:
        logging.disable(logging.WARNING)


def share(films: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the films that this process validates on: one run of neighbours, so that shares in order are all films.

    A process without a film would leave the others waiting for its errors. It gets the first film with a pixel spacing
    of NaN: its errors in mm are NaN, and no metric counts them.
    """
    count, number = distributed.get_world_size(), distributed.get_rank()
    own = films[number * len(films) // count : (number + 1) * len(films) // count]
    if films and not own:
        return [{**films[0], "pixel_spacing": math.nan}]
    return [dict(film) for film in own]


class SharedDataLoader(DataLoader):
    """MONAI's DataLoader of this process's share of each batch.

    An epoch has as many batches as in a single process, and all processes together load a batch of ``batch_size``.

    Args:
        dataset: of all films, the same in each process.
        batch_size: of all processes together.
        shuffle: draw a new order for each pass.
        drop_last: leave out what does not fill a batch.
        seed: of the order, the same in each process.
        kwargs: see MONAI's DataLoader.

    Raises:
        CephError: if the batch cannot be divided by the number of processes.
    """

    def __init__(
        self, dataset: Any, batch_size: int, shuffle: bool, drop_last: bool, seed: int = 0, **kwargs: Any
    ) -> None:
        count = distributed.get_world_size()
        if batch_size % count:
            raise CephError(
                f"a batch of {batch_size} films cannot be divided among {count} processes; give a --batch_size that is "
                f"a multiple of {count} (local stage: of {count} times patches_per_load)"
            )
        sampler = DistributedSampler(dataset, shuffle=shuffle, seed=seed, drop_last=drop_last)
        super().__init__(dataset, batch_size=batch_size // count, sampler=sampler, drop_last=drop_last, **kwargs)


class ProcessesInStep:
    """Ignite handler of the trainer: what DistributedDataParallel and MONAI leave to each process.

    Each pass has an order of its own: the local stage has several passes in an epoch, and MONAI sets the order once.
    At the end of an epoch the running statistics of BatchNorm are the mean of those of all processes, before any
    process validates or saves: the handler stands before the others.

    Args:
        network: whose buffers are averaged.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Register the handler."""
        engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, self.reorder)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.average)

    def reorder(self, engine: Engine) -> None:
        """Draw another order for the pass that begins."""
        engine.data_loader.sampler.set_epoch(engine.state.iteration)

    def average(self, engine: Engine) -> None:
        """Take the mean of the running statistics over the processes."""
        for buffer in self.network.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= distributed.get_world_size()
