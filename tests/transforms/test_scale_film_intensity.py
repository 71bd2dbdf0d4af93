from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import ScaleIntensityRangePercentiles

from monai_ceph.transforms import ScaleFilmIntensity, ScaleFilmIntensityd, affine_of

AFFINE = torch.tensor([[2.0, 0, 1], [0, 2, 3], [0, 0, 1]]).double()


@given(seed=st.integers(0, 99), lower=st.floats(0, 20), upper=st.floats(60, 100))
@settings(max_examples=30)
def test_with_step_1_it_equals_monais_transform(seed: int, lower: float, upper: float) -> None:
    film = torch.from_numpy(np.random.RandomState(seed).normal(100, 30, (1, 23, 31))).float()
    monais = ScaleIntensityRangePercentiles(lower, upper, b_min=0, b_max=1, clip=True)
    ours = ScaleFilmIntensity(lower, upper, step=1)(film)
    assert torch.allclose(ours.as_subclass(torch.Tensor), torch.as_tensor(monais(film)), atol=1e-4)


def test_the_sample_is_every_fourth_pixel() -> None:
    film = torch.full((1, 9, 9), 50.0)
    film[:, ::4, ::4] = torch.arange(9.0).reshape(1, 3, 3)
    scaled = ScaleFilmIntensity(0, 100)(film)
    assert torch.equal(scaled[0, ::4, ::4].as_subclass(torch.Tensor), torch.arange(9.0).reshape(3, 3) / 8)
    assert scaled[0, 1, 1] == 1


def test_keeps_the_affine_and_the_input() -> None:
    film = MetaTensor(torch.rand(1, 8, 8) * 7, affine=AFFINE, meta={"file": "a.dcm"})
    before = film.clone()
    scaled = ScaleFilmIntensityd("image", 0.5, 99.5)({"image": film})["image"]
    assert torch.equal(affine_of(scaled), AFFINE)
    assert scaled.meta["file"] == "a.dcm"
    assert torch.equal(film, before)
    assert 0 <= float(scaled.min()) <= float(scaled.max()) <= 1


def test_a_constant_film_becomes_0() -> None:
    assert (ScaleFilmIntensity(0.5, 99.5)(torch.full((1, 6, 6), 3.0)) == 0).all()


@pytest.mark.parametrize(("odd", "becomes"), [(math.nan, 0.0), (math.inf, 1.0), (-math.inf, 0.0)])
@pytest.mark.parametrize("place", [(0, 0), (3, 2)])
def test_a_pixel_that_is_not_finite_does_not_change_the_others(
    odd: float, becomes: float, place: tuple[int, int]
) -> None:
    """One that is sampled, and one that is not."""
    film = torch.full((1, 9, 9), 50.0)
    film[:, ::4, ::4] = torch.tensor([[50.0, 10, 20], [30, 40, 50], [60, 70, 90]])
    expected = ((film - 10) / 80).index_put((torch.tensor([0]), *map(torch.tensor, place)), torch.tensor(becomes))
    film[0][place] = odd
    assert torch.equal(ScaleFilmIntensity(0, 100)(film).as_subclass(torch.Tensor), expected)


def test_a_film_without_a_finite_pixel_becomes_0() -> None:
    assert (ScaleFilmIntensity(0.5, 99.5)(torch.full((1, 6, 6), math.nan)) == 0).all()


class TestFarValues:
    """A tenth of the film is at 4095, the rest from 0 to 99."""

    FILM = torch.cat((torch.arange(90.0).repeat(10).reshape(1, 9, 100), torch.full((1, 1, 100), 4095.0)), dim=1)

    def test_have_no_part_in_the_percentiles(self) -> None:
        scaled = ScaleFilmIntensity(0, 100, step=1, max_gap=0.4)(self.FILM)
        # 5 % of the range of the others lies between them and what was cut off
        expected = (self.FILM / (1.05 * 89)).clamp(0, 1)
        assert torch.allclose(scaled.as_subclass(torch.Tensor), expected)
        assert scaled.meta["cut"] == pytest.approx(0.1)

    def test_without_a_limit_they_have(self) -> None:
        scaled = ScaleFilmIntensity(0, 100, step=1)(self.FILM)
        assert torch.allclose(scaled.as_subclass(torch.Tensor), self.FILM / 4095)
        assert "cut" not in scaled.meta

    def test_the_largest_share_of_several_calls(self) -> None:
        scale = ScaleFilmIntensityd("image", 0, 100, step=1, max_gap=0.4)
        once = scale({"image": self.FILM})["image"]
        # what was cut off is no longer far from the others
        twice = scale({"image": once})["image"]
        assert torch.allclose(twice.as_subclass(torch.Tensor), once.as_subclass(torch.Tensor))
        assert twice.meta["cut"] == pytest.approx(0.1)

    def test_plain_films_are_scaled_as_without(self) -> None:
        film = torch.rand((1, 40, 30), generator=torch.Generator().manual_seed(0))
        scaled = ScaleFilmIntensity(0.5, 99.5, step=2, max_gap=0.4)(film)
        assert torch.equal(scaled, ScaleFilmIntensity(0.5, 99.5, step=2)(film))
        assert scaled.meta["cut"] == 0

    @pytest.mark.parametrize("max_gap", [0, 1, -0.5, math.nan])
    def test_refuses_a_wrong_limit(self, max_gap: float) -> None:
        with pytest.raises(ValueError, match="max_gap must be between 0 and 1"):
            ScaleFilmIntensity(0, 100, max_gap=max_gap)


@pytest.mark.parametrize(("lower", "upper", "step"), [(-1, 50, 4), (60, 50, 4), (50, 50, 4), (0, 101, 4), (0, 100, 0)])
def test_refuses_wrong_arguments(lower: float, upper: float, step: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        ScaleFilmIntensity(lower, upper, step)
