"""Training by several processes, one per GPU, that torchrun starts: what ``bundles/overlays/multi_gpu.json`` calls."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DistributedSampler
from torch import distributed, nn

from monai_ceph.errors import CephError
from monai_ceph.training.seeded_loader import SeededDataLoader

__all__ = ["ProcessesInStep", "SharedDataLoader", "rank", "share", "start", "this_device"]


def rank() -> int:
    """Return the rank of this process; rank 0 draws phantoms, logs and saves."""
    return int(os.environ.get("RANK", "0"))


def this_device() -> torch.device:
    """Return the GPU of this process, or the CPU on a machine without a GPU.

    Raises:
        CephError: if there are more processes than GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= gpus:
        raise CephError(f"process {local} has no GPU: this machine has {gpus}. Give torchrun --nproc_per_node={gpus}")
    return torch.device("cuda", local)


def start(device: torch.device) -> None:
    """Join the process group, with NCCL on GPUs and Gloo on CPUs. Only rank 0 logs warnings and below.

    Raises:
        CephError: if this process was not started by torchrun.
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
    """Return the films that this process validates on, a contiguous part of ``films``.

    A process without a film would block the others when metrics are gathered. It gets the first film, with a pixel
    spacing of NaN, so that its errors in mm are NaN and no metric counts them.
    """
    count, number = distributed.get_world_size(), distributed.get_rank()
    own = films[number * len(films) // count : (number + 1) * len(films) // count]
    if films and not own:
        return [{**films[0], "pixel_spacing": math.nan}]
    return [dict(film) for film in own]


class SharedDataLoader(SeededDataLoader):
    """A data loader for the part of each batch that this process trains on.

    All processes together load batches of ``batch_size``, and an epoch has as many batches as in a single process.

    Args:
        dataset: all films, the same in each process.
        batch_size: size of a batch over all processes.
        shuffle: draw a new order for each pass: the local stage makes several in an epoch.
        drop_last: drop the last batch if it is not full.
        seed: of the run, the same in each process.
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
                f"a batch of {batch_size} films cannot be divided among {count} processes. Give a --batch_size that is "
                f"a multiple of {count} (local stage: of {count} times patches_per_load)"
            )
        sampler = DistributedSampler(dataset, shuffle=shuffle, seed=seed, drop_last=drop_last)
        kwargs |= {"batch_size": batch_size // count, "sampler": sampler, "drop_last": drop_last}
        super().__init__(dataset, seed, **kwargs)

    def _seed_pass(self, number: int) -> None:
        super()._seed_pass(number)
        # all processes have the same order, and MONAI sets it only once per epoch
        self.sampler.set_epoch(number)


class ProcessesInStep:
    """Ignite handler that keeps processes in step where DistributedDataParallel does not.

    At the end of an epoch the running statistics of BatchNorm are averaged over all processes. This must happen before
    a process validates or saves, so attach this handler first.

    Args:
        network: the network whose buffers are averaged.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach the handler to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.average)

    def average(self, engine: Engine) -> None:
        """Average the running statistics over the processes."""
        for buffer in self.network.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= distributed.get_world_size()
