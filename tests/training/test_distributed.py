from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed

# a process group whose other members never answer: enough for what each process decides by itself
from torch.testing._internal.distributed import fake_pg  # noqa: F401

from monai_ceph.errors import CephError
from monai_ceph.networks import HeatmapUNet
from monai_ceph.training.distributed import SharedDataLoader, share, start

COUNTS = st.integers(1, 9)


@contextmanager
def process(number: int, count: int) -> Iterator[None]:
    distributed.init_process_group("fake", rank=number, world_size=count)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@given(films=st.integers(0, 40), count=COUNTS)
def test_shares_in_order_are_all_films(films: int, count: int) -> None:
    items = [{"name": str(index), "pixel_spacing": 0.1} for index in range(films)]
    shares = []
    for number in range(count):
        with process(number, count):
            shares.append(share(items))
    counted = [[item for item in each if not math.isnan(item["pixel_spacing"])] for each in shares]
    assert [item for own in counted for item in own] == items
    assert max(map(len, counted)) - min(map(len, counted)) <= 1
    if films:
        # films that do not count are there so that no process is idle
        assert all(len(each) == max(1, len(own)) for each, own in zip(shares, counted, strict=True))
        assert {item["name"] for each in shares for item in each if math.isnan(item["pixel_spacing"])} <= {"0"}
    assert all(item["pixel_spacing"] == 0.1 for item in items)


def passes(films: int, batch_size: int, number: int, count: int, seed: int = 0) -> list[list[list[int]]]:
    """The batches of two passes, by the numbers of the films in them."""
    with process(number, count):
        loader = SharedDataLoader(list(range(films)), batch_size, shuffle=True, drop_last=True, seed=seed)
        result = []
        for epoch in (1, 2):
            loader.sampler.set_epoch(epoch)
            result.append([batch.tolist() for batch in loader])
        return result


@given(films=st.integers(1, 60), count=COUNTS, each=st.integers(1, 4))
def test_processes_share_batches_of_the_whole_size(films: int, count: int, each: int) -> None:
    loaded = [passes(films, each * count, number, count)[0] for number in range(count)]
    assert all(len(batches) == films // (each * count) for batches in loaded)
    assert all(len(batch) == each for batches in loaded for batch in batches)
    seen = [film for batches in loaded for batch in batches for film in batch]
    assert len(seen) == len(set(seen))


def test_each_pass_and_each_seed_has_an_order_of_its_own() -> None:
    first, second = passes(40, 4, 1, 2)
    assert first != second
    assert passes(40, 4, 1, 2) == [first, second]
    assert passes(40, 4, 1, 2, seed=1)[0] != first


def test_a_batch_that_cannot_be_divided() -> None:
    with process(0, 3), pytest.raises(CephError, match=r"batch of 4 films .* 3 processes. Give a --batch_size"):
        SharedDataLoader(list(range(40)), 4, shuffle=True, drop_last=True)


def test_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(CephError, match="needs torchrun"):
        start(torch.device("cpu"))


def test_statistics_over_all_gpus_leave_the_weights_file_as_it_is() -> None:
    """What bundles/overlays/multi_gpu.json does to the network on GPUs."""
    plain = HeatmapUNet(channels=(4, 8)).eval()
    weights, film = {key: value.clone() for key, value in plain.state_dict().items()}, torch.rand(1, 1, 20, 24)
    expected = plain(film)
    shared = torch.nn.SyncBatchNorm.convert_sync_batchnorm(plain)
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in shared.modules())
    assert list(shared.state_dict()) == list(weights)
    assert torch.equal(shared(film), expected)
    HeatmapUNet(channels=(4, 8)).load_state_dict(shared.state_dict())
