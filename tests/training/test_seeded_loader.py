"""A resumed run continues the random draws of the run that was interrupted."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ignite.engine import Engine, Events
from monai.data import CacheDataset
from monai.transforms import Compose, Lambda, RandGaussianNoise, RandScaleIntensity

from monai_ceph.training import ResumeDraws, SeededDataLoader

FILMS = 7
BATCH = 2


def loader(seed: int = 0, workers: int = 0) -> SeededDataLoader:
    """Return a loader of films that are random numbers near the film's own."""
    draw = Compose(
        [
            Lambda(lambda number: torch.full((1, 2), float(number))),
            RandScaleIntensity(prob=1.0, factors=0.1),
            RandGaussianNoise(prob=1.0, std=0.01),
        ]
    )
    dataset = CacheDataset(list(range(FILMS)), draw, num_workers=0, progress=False)
    return SeededDataLoader(dataset, seed, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers)


def batches(source: SeededDataLoader, count: int) -> torch.Tensor:
    """Return the next batches, over as many passes as that takes."""

    def endless() -> object:
        while True:
            yield from source

    return torch.stack([batch.as_tensor() for batch in islice(endless(), count)])


@settings(max_examples=20)
@given(done=st.integers(0, 13), seed=st.integers(-5, 5))
def test_batches_after_an_interruption_are_those_of_an_uninterrupted_run(done: int, seed: int) -> None:
    whole = batches(loader(seed), 14)
    resumed = loader(seed)
    resumed.start_at(done)
    assert torch.equal(batches(resumed, 14 - done), whole[done:])


def test_batches_of_worker_processes_after_an_interruption() -> None:
    whole = batches(loader(workers=1), 5)
    resumed = loader(workers=1)
    resumed.start_at(4)
    assert torch.equal(batches(resumed, 1), whole[4:])


def test_no_draw_is_repeated() -> None:
    drawn = [batches(loader(seed), 12) for seed in (0, 1)]
    assert len(torch.cat(drawn).flatten().unique()) == torch.cat(drawn).numel()


def test_other_random_numbers_change_no_draw() -> None:
    """Validation between two batches draws some, and a resumed run starts with a validation less."""
    expected = batches(loader(), 6)
    source = loader()
    torch.manual_seed(7)
    first = batches(source, 3)
    torch.rand(5)
    assert torch.equal(torch.cat([first, batches(source, 3)]), expected)


def test_each_process_draws_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = batches(loader(), 3)
    monkeypatch.setenv("RANK", "1")
    assert not torch.equal(batches(loader(), 3), first)


def test_a_trainer_that_resumes_sees_the_batches_that_are_left() -> None:
    def run(engine_of: SeededDataLoader, start: int, stop: int) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        trainer = Engine(lambda engine, batch: seen.append(batch))
        # as the checkpoint does, before the handler
        trainer.add_event_handler(
            Events.STARTED,
            lambda engine: engine.load_state_dict({"iteration": start, "epoch_length": 5, "max_epochs": 2}),
        )
        ResumeDraws(engine_of).attach(trainer)
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED(once=stop), lambda engine: engine.terminate(skip_completed=True)
        )
        trainer.run(engine_of, max_epochs=2, epoch_length=5)
        return seen

    whole = run(loader(), 0, 10)
    assert len(whole) == 10
    for stopped in (4, 5, 7):
        parts = [*run(loader(), 0, stopped), *run(loader(), stopped, 10)]
        assert torch.equal(torch.stack(parts), torch.stack(whole))
