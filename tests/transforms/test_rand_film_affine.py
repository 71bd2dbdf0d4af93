from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dots import film_with_dots, miss, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import CacheDataset, MetaTensor
from monai.transforms import Compose

from monai_ceph.transforms import RandFilmAffine, RandFilmAffined, SquareFilm, affine_of, landmarks_to_grid
from monai_ceph.transforms.rand_landmark_patch import crop_patch

POINTS = torch.tensor([[40.0, 35.0], [61.3, 52.8], [30.5, 60.25]], dtype=torch.float64)
seeds = st.integers(0, 2**31)


@given(seed=seeds, height=st.integers(80, 110), width=st.integers(80, 110))
@settings(max_examples=40)
def test_dots_stay_under_their_landmarks(seed: int, height: int, width: int) -> None:
    move = RandFilmAffine(1.0, rotate_sd=10, scale_sd=0.1, shift_sd=3).set_random_state(seed)
    film = move(film_with_dots(POINTS, (height, width), 3.0))
    assert film.shape == (3, height, width)
    assert miss(film, POINTS, margin=12) < 0.1


@given(seed=seeds, size=st.integers(40, 60))
@settings(max_examples=30)
def test_after_the_square_and_a_crop(seed: int, size: int) -> None:
    points = torch.tensor([[120.0, 75.5], [105.0, 90.0]], dtype=torch.float64)
    film = SquareFilm(80)(film_with_dots(points, (200, 160), 4.0))
    film = crop_patch(film, (5, 9), 64)
    film = RandFilmAffine(1.0, 8.0, 0.1, 1.0, size).set_random_state(seed)(film)
    assert film.shape == (2, size, size)
    assert miss(film, points, margin=8) < 0.1


def test_probability_0_is_the_identity() -> None:
    film = MetaTensor(torch.rand(1, 31, 44), affine=torch.tensor([[2.0, 0, 5], [0, 2, 6], [0, 0, 1]]))
    moved = RandFilmAffine(0.0, 30, 0.3, 10)(film)
    assert torch.allclose(moved.as_subclass(torch.Tensor), film.as_subclass(torch.Tensor), atol=1e-4)
    assert torch.equal(affine_of(moved), affine_of(film))


def test_probability_0_with_a_size_cuts_the_centre() -> None:
    film = torch.rand(1, 32, 44)
    moved = RandFilmAffine(0.0, 30, 0.3, 10, size=20)(film)
    assert torch.allclose(moved.as_subclass(torch.Tensor), film[:, 6:26, 12:32], atol=1e-4)
    assert affine_of(moved).tolist() == [[1, 0, 6], [0, 1, 12], [0, 0, 1]]


def test_draws_have_the_stated_standard_deviations() -> None:
    move = RandFilmAffine(1.0, rotate_sd=7.5, scale_sd=0.1, shift_sd=8).set_random_state(3)
    angles, scales, shifts = [], [], []
    for _ in range(3000):
        move.randomize()
        matrix = move.matrix((50, 50), (50, 50))
        angles.append(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
        scales.append(-0.5 * math.log(torch.linalg.det(matrix).item()))
        # where the centre of the film is shown
        shown = torch.linalg.inv(matrix) @ torch.tensor([24.5, 24.5, 1]).double()
        shifts.append(shown[:2].numpy() - 24.5)
    for values, sd in ((np.array(angles), 7.5), (np.array(scales), 0.1), (np.array(shifts), 8.0)):
        assert values.std() == pytest.approx(sd, rel=0.05)
        assert abs(values.mean()) < 0.1 * sd
        assert np.abs(values).max() <= 3 * sd * (1 + 1e-6)


def test_each_draw_has_a_meaning_of_its_own() -> None:
    """Angle, magnification, shift along the rows, shift along the columns; a positive shift moves the film that way."""
    move = RandFilmAffine(1.0, rotate_sd=10, scale_sd=0.1, shift_sd=3)
    at_rest = (49.0, 49.0)
    for draw, place in (((0, 0, 1, 0), (52.0, 49.0)), ((0, 0, 0, -2), (49.0, 43.0)), ((0, 0, 0, 0), at_rest)):
        move.draw = np.array(draw, dtype=float)
        shown = torch.linalg.inv(move.matrix((99, 99), (99, 99))) @ torch.tensor([49.0, 49, 1]).double()
        assert shown[:2].tolist() == pytest.approx(place)
    move.draw = np.array([1.0, 0, 0, 0])
    turned = move.matrix((99, 99), (99, 99))
    assert math.degrees(math.atan2(turned[1, 0], turned[0, 0])) == pytest.approx(10)
    move.draw = np.array([0, 1.0, 0, 0])
    assert float(torch.linalg.det(move.matrix((99, 99), (99, 99)))) == pytest.approx(math.exp(-0.2))


def test_the_dictionary_form_passes_on_its_options() -> None:
    move = RandFilmAffined("image", 0.0, 30, 0.3, 10, size=20)
    assert move({"image": torch.rand(1, 32, 44)})["image"].shape == (1, 20, 20)
    with pytest.raises(KeyError):
        move({"label": torch.rand(1, 32, 44)})
    assert RandFilmAffined("image", 0.0, allow_missing_keys=True)({"label": 1}) == {"label": 1}


@pytest.mark.parametrize("options", [{"rotate_sd": -1}, {"scale_sd": -1}, {"shift_sd": -1}])
def test_a_negative_standard_deviation_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        RandFilmAffine(1.0, **options)


def test_probability() -> None:
    move = RandFilmAffine(0.3, rotate_sd=5).set_random_state(0)
    identity = torch.eye(3, dtype=torch.float64)
    moved = 0
    for _ in range(1000):
        move.randomize()
        moved += not torch.equal(move.matrix((9, 9), (9, 9)), identity)
    assert 250 < moved < 350


def test_magnification_makes_things_larger() -> None:
    move = RandFilmAffine(1.0, scale_sd=0.1)
    move.draw = np.array([0.0, 2.0, 0.0, 0.0])
    before = film_with_dots(POINTS, (90, 90), 3.0)
    after = move(before, randomize=False)
    distance = (seen(before)[0] - seen(before)[1]).norm()
    assert (seen(after)[0] - seen(after)[1]).norm().item() == pytest.approx(distance.item() * math.exp(0.2), rel=2e-3)


def test_dictionary_form_moves_every_key_alike_and_repeats_with_a_seed() -> None:
    film = film_with_dots(POINTS, (90, 90), 3.0)
    nan = torch.cat((POINTS, torch.full((1, 2), math.nan)))
    data = {"image": film, "other": film, "landmarks": nan}
    move = RandFilmAffined(["image", "other"], 1.0, 10, 0.1, 3)
    first, again = (Compose([move]).set_random_state(5)(data) for _ in range(2))
    assert torch.equal(first["image"], first["other"])
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], Compose([move]).set_random_state(6)(data)["image"])
    assert first["landmarks"] is nan
    assert landmarks_to_grid(nan, affine_of(first["image"]))[3].isnan().all()


def test_the_cache_does_not_freeze_the_draws() -> None:
    data = [{"image": film_with_dots(POINTS[:1], (70, 70), 3.0)}]
    dataset = CacheDataset(data, Compose([RandFilmAffined("image", 1.0, 10)]), num_workers=None, progress=False)
    assert not torch.equal(dataset[0]["image"], dataset[0]["image"])


def test_standard_deviations_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        RandFilmAffine(1.0, rotate_sd=-1)
