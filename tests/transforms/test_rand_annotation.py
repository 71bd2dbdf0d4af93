from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import Compose

from monai_ceph.transforms import RandAnnotation, RandAnnotationd

POINTS = torch.tensor([[400.0, 350.0], [math.nan, math.nan], [30.5, 60.25], [7.0, 8.0]], dtype=torch.float64)
SPREAD = torch.tensor([[6.0, -8.0], [1.0, 1.0], [0.0, 3.0], [math.nan, math.nan]], dtype=torch.float64)


@given(seed=st.integers(0, 2**32 - 1), amount=st.floats(0, 2))
def test_every_landmark_lies_on_the_line_between_its_annotators(seed: int, amount: float) -> None:
    moved = RandAnnotation(amount).set_random_state(seed)(POINTS, SPREAD) - POINTS
    for way, spread in zip(moved[[0, 2]], SPREAD[[0, 2]], strict=True):
        assert float(way[0] * spread[1] - way[1] * spread[0]) == pytest.approx(0, abs=1e-9)
        assert float(way.norm()) <= amount * float(spread.norm()) + 1e-9
    assert moved[1].isnan().all()
    # one annotation only
    assert moved[3].tolist() == [0, 0]


def test_positions_are_uniform_and_independent_for_each_landmark() -> None:
    points, spread = torch.zeros(20000, 2), torch.tensor([[0.0, 10.0]]).expand(20000, 2)
    moved = RandAnnotation().set_random_state(0)(points, spread)
    assert moved[:, 0].abs().max() == 0
    along = moved[:, 1]
    assert float(along.mean()) == pytest.approx(0, abs=0.2)
    # of a uniform distribution from -10 to 10
    assert float(along.std()) == pytest.approx(10 / math.sqrt(3), rel=0.02)
    assert float(along.abs().max()) <= 10
    assert torch.equal(points, torch.zeros(20000, 2))


def test_dictionary_form() -> None:
    data = {"landmarks": POINTS.numpy(), "spread": SPREAD.numpy(), "name": "a"}
    chain = Compose([RandAnnotationd("landmarks", "spread")])
    first, again = (chain.set_random_state(4)(data)["landmarks"] for _ in range(2))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.allclose(first[0], POINTS[0])
    assert np.array_equal(data["landmarks"], POINTS.numpy(), equal_nan=True)
    still = RandAnnotationd("landmarks", "spread", amount=0.0)(data)["landmarks"]
    assert np.array_equal(still, POINTS.numpy(), equal_nan=True)


def test_a_state_seeds_the_dictionary_form() -> None:
    data = {"landmarks": POINTS.numpy(), "spread": SPREAD.numpy()}
    first, again = (
        RandAnnotationd("landmarks", "spread").set_random_state(state=np.random.RandomState(5))(data)["landmarks"]
        for _ in range(2)
    )
    assert np.array_equal(first, again, equal_nan=True)
    with pytest.raises(KeyError):
        RandAnnotationd("landmarks", "spread")({"spread": SPREAD.numpy()})
    missing = RandAnnotationd("landmarks", "spread", allow_missing_keys=True)({"spread": SPREAD.numpy()})
    assert list(missing) == ["spread"]


def test_without_an_amount_nothing_is_drawn() -> None:
    """Or a run with another setting would have other films and patches."""
    still, other = (RandAnnotation(0.0).set_random_state(3) for _ in range(2))
    still(POINTS, SPREAD)
    assert still.R.uniform() == other.R.uniform()


@pytest.mark.parametrize("amount", [-0.1, math.inf, math.nan])
def test_invalid_amounts_are_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="amount"):
        RandAnnotation(amount)
