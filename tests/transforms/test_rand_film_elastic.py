from __future__ import annotations

import math

import pytest
import torch
from dots import film_with_dots, miss
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose
from torch.nn import functional

from monai_ceph.transforms import RandFilmAffined, RandFilmElastic, RandFilmElasticd, SquareFilm, affine_of
from monai_ceph.transforms.rand_landmark_patch import RandLandmarkPatchd, crop_patch

POINTS = torch.tensor([[40.0, 35.0], [61.3, 52.8], [30.5, 60.25]], dtype=torch.float64)
seeds = st.integers(0, 2**31)


@given(seed=seeds, height=st.integers(80, 110), width=st.integers(80, 110))
@settings(max_examples=40)
def test_dots_stay_under_their_landmarks(seed: int, height: int, width: int) -> None:
    elastic = RandFilmElastic(1.0, magnitude_sd=3, spacing=40).set_random_state(seed)
    film, points = elastic(film_with_dots(POINTS, (height, width), 1.6), POINTS)
    assert film.shape == (3, height, width)
    assert (points - POINTS).abs().max() > 1e-3
    assert miss(film, points, margin=8) < 0.1


@given(seed=seeds)
@settings(max_examples=30)
def test_a_moved_landmark_shows_the_coordinates_that_it_had(seed: int) -> None:
    rows, columns = torch.meshgrid(torch.arange(80.0), torch.arange(100.0), indexing="ij")
    elastic = RandFilmElastic(1.0, magnitude_sd=3, spacing=40).set_random_state(seed)
    film, points = elastic(torch.stack((rows, columns)), POINTS)
    at = points.flip(-1) * torch.tensor([2 / 99, 2 / 79]) - 1
    pixels = film.as_subclass(torch.Tensor)[None].double()
    shown = functional.grid_sample(pixels, at[None, None], align_corners=True)[0, :, 0].T
    assert (shown - POINTS).abs().max() < 0.01


@given(seed=seeds)
@settings(max_examples=20)
def test_in_the_chain_of_the_local_stage(seed: int) -> None:
    points = torch.tensor([[120.0, 75.5], [105.0, 90.0]], dtype=torch.float64)
    film = SquareFilm(80)(film_with_dots(points, (200, 160), 3.0))
    chain = Compose(
        [
            RandLandmarkPatchd("image", "landmarks", 64, 8.0, 2),
            RandFilmElasticd("image", "landmarks", 1.0, 1.0, 40),
            RandFilmAffined("image", 1.0, 7.5, 0.1, size=48),
        ]
    ).set_random_state(seed)
    patches = chain({"image": film, "landmarks": points})
    assert len(patches) == 2
    for patch in patches:
        assert patch["image"].shape == (2, 48, 48)
        assert miss(patch["image"], patch["landmarks"], margin=7) < 0.1


def test_on_a_crop_landmarks_move_in_source_coordinates() -> None:
    film = crop_patch(SquareFilm(60)(film_with_dots(POINTS * 2, (200, 180), 3.0)), (2, 3), 50)
    moved, points = RandFilmElastic(1.0, 2.0, 30).set_random_state(1)(film, POINTS * 2)
    assert torch.equal(affine_of(moved), affine_of(film))
    assert 0 < (points - POINTS * 2).norm(dim=1).max() < 40
    assert miss(moved, points, margin=5) < 0.1


@given(seed=seeds, sd=st.floats(0.1, 50), spacing=st.floats(2, 60))
@settings(max_examples=40)
def test_the_map_is_one_to_one(seed: int, sd: float, spacing: float) -> None:
    elastic = RandFilmElastic(1.0, sd, spacing).set_random_state(seed)
    elastic.randomize((40, 53))
    assert elastic.field is not None
    assert elastic.field.shape == (2, 40, 53)
    rows = elastic.field[0] + torch.arange(40)[:, None]
    columns = elastic.field[1] + torch.arange(53)
    # both coordinates grow along their axis, and the Jacobian of every cell is positive
    down, across = rows.diff(dim=0)[:, :-1], rows.diff(dim=1)[:-1]
    below, right = columns.diff(dim=0)[:, :-1], columns.diff(dim=1)[:-1]
    assert down.min() > 0.4
    assert right.min() > 0.4
    assert (down * right - across * below).min() > 0


@given(seed=seeds)
@settings(max_examples=20)
def test_moved_landmarks_solve_the_equation_of_the_field(seed: int) -> None:
    elastic = RandFilmElastic(1.0, 30.0, 8).set_random_state(seed)
    elastic.randomize((40, 40))
    assert elastic.field is not None
    # a landmark that comes to lie on the pixel g came from g + d(g)
    pixels = torch.tensor([[3, 4], [20, 31], [39, 0]])
    there = pixels + elastic.field[:, pixels[:, 0], pixels[:, 1]].T
    assert torch.allclose(elastic.move(there, torch.eye(3)), pixels.double(), atol=1e-6)


def test_a_gentle_field_has_the_stated_size_and_spacing() -> None:
    elastic = RandFilmElastic(1.0, 0.5, 20).set_random_state(0)
    corners = []
    for _ in range(400):
        elastic.randomize((61, 41))
        assert elastic.field is not None
        # control points: 20 pixels apart, beginning at the corner
        corners.append(elastic.field[:, ::20, ::20])
    drawn = torch.stack(corners)
    assert drawn.shape == (400, 2, 4, 3)
    assert drawn.std().item() == pytest.approx(0.5, rel=0.05)
    neighbours = (drawn[..., 1:] * drawn[..., :-1]).mean() / drawn.var()
    assert abs(neighbours.item()) < 0.05


def test_nan_stays_nan_and_leaves_the_others_alone() -> None:
    elastic = RandFilmElastic(1.0, 3.0, 30).set_random_state(2)
    elastic.randomize((90, 90))
    with_nan = torch.cat((POINTS[:1], torch.full((1, 2), math.nan), POINTS[1:]))
    moved = elastic.move(with_nan, torch.eye(3))
    assert moved[1].isnan().all()
    assert torch.allclose(moved[[0, 2, 3]], elastic.move(POINTS, torch.eye(3)))


@pytest.mark.parametrize(("prob", "sd"), [(0.0, 3.0), (1.0, 0.0)])
def test_without_a_deformation_nothing_changes(prob: float, sd: float) -> None:
    film = MetaTensor(torch.rand(1, 30, 40), affine=2 * torch.eye(3))
    moved, points = RandFilmElastic(prob, sd, 10)(film, POINTS)
    assert torch.equal(moved.as_subclass(torch.Tensor), film.as_subclass(torch.Tensor))
    assert torch.equal(affine_of(moved), affine_of(film))
    assert torch.equal(points, POINTS)


@pytest.mark.parametrize("prob", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int16])
def test_places_are_exact_in_any_type(dtype: torch.dtype, prob: float) -> None:
    film = (100 * torch.rand(1, 400, 500, generator=torch.Generator().manual_seed(0))).to(dtype)
    moved, _ = RandFilmElastic(prob, 3.0, 40).set_random_state(1)(film, POINTS)
    assert moved.dtype == (dtype if dtype.is_floating_point else torch.float32)
    expected, _ = RandFilmElastic(prob, 3.0, 40).set_random_state(1)(film.float(), POINTS)
    assert torch.equal(moved.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor).to(moved.dtype))


def test_dictionary_form() -> None:
    film = film_with_dots(POINTS, (90, 90), 1.2)
    data = {"image": film, "other": film, "landmarks": POINTS.numpy()}
    before = POINTS.clone()
    move = RandFilmElasticd(["image", "other"], "landmarks", 1.0, 3.0, 30)
    first, again = (Compose([move]).set_random_state(5)(data) for _ in range(2))
    assert torch.equal(first["image"], first["other"])
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["landmarks"], again["landmarks"])
    assert miss(first["image"], first["landmarks"], margin=8) < 0.1
    assert torch.equal(POINTS, before)


def test_data_without_a_film_stay_as_they_are() -> None:
    data = {"landmarks": POINTS, "name": "x"}
    move = RandFilmElasticd(["image", "other"], "landmarks", 1.0, 3.0, 30, allow_missing_keys=True)
    assert move(data) == data
    with pytest.raises(KeyError, match="image"):
        RandFilmElasticd("image", "landmarks", 1.0, 3.0, 30)(data)


@pytest.mark.parametrize(("sd", "spacing"), [(-1.0, 10), (1.0, 1.5), (1.0, math.nan)])
def test_wrong_arguments(sd: float, spacing: float) -> None:
    with pytest.raises(ValueError, match="magnitude_sd"):
        RandFilmElastic(1.0, sd, spacing)
