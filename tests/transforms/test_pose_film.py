from __future__ import annotations

import math

import pytest
import torch
from dots import film_with_dots, miss, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import PoseFilm, PoseFilmd, SquareFilm, affine_of, landmarks_to_grid
from monai_ceph.transforms.geometry import apply

SHAPE = torch.tensor([[-1.2, -0.9], [-1.4, 0.4], [0.2, 0.1], [1.1, 0.6], [0.7, -0.8], [0.5, 1.1]]).double()
NAN = math.nan


def lying(angle: float, scale: float, centre: tuple[float, float]) -> torch.Tensor:
    """Return the shape as it lies on a film."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    return scale * (SHAPE - SHAPE.mean(dim=0)) @ turn.mT + torch.tensor(centre, dtype=torch.float64)


@given(size=st.integers(1, 1000), unit=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
@settings(max_examples=40)
def test_position_and_size_of_the_mean_shape(size: int, unit: float, shift: float) -> None:
    pose = PoseFilm(size, (unit * SHAPE + shift).tolist(), centre=(0.4, 0.7), radius=0.2)
    # as shares of the square, whose edge is half a pixel before the first centre
    share = (pose.model + 0.5) / size
    assert share.mean(dim=0).tolist() == pytest.approx([0.4, 0.7])
    assert (share - share.mean(dim=0)).square().sum(dim=1).mean().sqrt().item() == pytest.approx(0.2)
    assert torch.allclose(pose.model, PoseFilm(size, SHAPE, (0.4, 0.7), 0.2).model, rtol=1e-6)


def test_position_and_size_are_those_that_the_networks_were_trained_with() -> None:
    pose = PoseFilm(968, SHAPE)
    assert (pose.model + 0.5).mean(dim=0).tolist() == pytest.approx([0.578 * 968, 0.638 * 968])
    assert pose.model.std(dim=0, correction=0).norm().item() == pytest.approx(0.2238 * 968)


@given(angle=st.floats(-180, 180), scale=st.floats(12, 30), shift=st.tuples(st.floats(-15, 15), st.floats(-15, 15)))
@settings(max_examples=40)
def test_the_landmarks_come_to_the_mean_shape(angle: float, scale: float, shift: tuple[float, float]) -> None:
    points = lying(angle, scale, (80 + shift[0], 95 + shift[1]))
    pose = PoseFilm(64, SHAPE)
    film = pose(film_with_dots(points, (170, 190), 1.5 * max(1, scale / 14)), points)
    assert film.shape == (len(SHAPE), 64, 64)
    assert torch.allclose(landmarks_to_grid(points, affine_of(film)), pose.model, atol=1e-6)
    # dots have their sigma in pixels of the film, and magnified ones spread
    assert miss(film, points, margin=7) < 0.15


def test_an_upright_film_of_the_right_size_is_copied_and_0_outside() -> None:
    pose = PoseFilm(32, SHAPE)
    film = 1 + torch.rand(1, 40, 25, generator=torch.Generator().manual_seed(0))
    square = pose(film, pose.model + torch.tensor([3.0, -4.0]))
    assert torch.allclose(square[0, :, 4:29].as_subclass(torch.Tensor), film[0, 3:35], atol=1e-4)
    assert torch.equal(square[0, :, :3].as_subclass(torch.Tensor), torch.zeros(32, 3))
    assert torch.equal(square[0, :, 30:].as_subclass(torch.Tensor), torch.zeros(32, 2))


def test_shrinking_is_antialiased() -> None:
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(60, 60)[None]
    square = PoseFilm(24, SHAPE)(board, lying(30, 20, (55.0, 60.0)))
    assert (square[0, 8:16, 8:16] - 0.5).abs().max() < 0.05


def test_landmarks_in_source_coordinates_of_a_film_that_was_cut_before() -> None:
    points = lying(-20, 25, (110.0, 75.0))
    film = SquareFilm(100)(film_with_dots(points, (200, 150), 4.0))
    pose = PoseFilm(48, SHAPE)
    square = pose(film, points)
    assert torch.allclose(landmarks_to_grid(points, affine_of(square)), pose.model, atol=1e-6)
    assert miss(square, points, margin=5) < 0.15


def test_landmarks_without_annotation_are_ignored() -> None:
    points = lying(15, 20, (60.0, 60.0))
    points[2] = NAN
    points[4, 0] = NAN
    pose = PoseFilm(50, SHAPE)
    square = pose(torch.rand(1, 120, 120), points)
    known = torch.tensor([0, 1, 3, 5])
    assert torch.allclose(landmarks_to_grid(points, affine_of(square))[known], pose.model[known], atol=1e-6)


def test_the_matrix_of_a_mirrored_head() -> None:
    pose = PoseFilm(50, SHAPE)
    mirrored = lying(15, 20, (60.0, 60.0)) * torch.tensor([1.0, -1.0]).double() + torch.tensor([0.0, 120.0]).double()
    matrix = pose.matrix(mirrored, mirrored=True)
    assert torch.allclose(apply(matrix, pose.model), mirrored, atol=1e-9)
    assert torch.linalg.det(matrix) < 0
    assert not torch.allclose(apply(pose.matrix(mirrored), pose.model), mirrored, atol=5)


def test_weights_choose_the_landmarks() -> None:
    pose = PoseFilm(50, SHAPE)
    points = lying(15, 20, (60.0, 60.0))
    wrong = points.clone()
    wrong[3] += 30
    weights = torch.ones(len(SHAPE))
    weights[3] = 0
    assert torch.allclose(pose.matrix(wrong, weights=weights), pose.matrix(points), atol=1e-9)


def test_dictionary_form_gives_films_of_any_grid_the_same_pose() -> None:
    points = lying(-35, 22, (90.0, 80.0))
    film = film_with_dots(points, (180, 170), 4.0)
    data = {"image": film, "other": SquareFilm(120)(film), "landmarks": points.numpy(), "name": "x"}
    result = PoseFilmd(["image", "other"], "landmarks", 40, SHAPE.tolist())(data)
    assert result["landmarks"] is data["landmarks"]
    assert result["name"] == "x"
    assert torch.allclose(affine_of(result["image"]), affine_of(result["other"]))
    assert (seen(result["image"]) - seen(result["other"])).abs().max() < 0.1
    assert torch.equal(affine_of(data["image"]), torch.eye(3).double())


@pytest.mark.parametrize("known", [0, 1])
def test_too_few_landmarks(known: int) -> None:
    points = torch.full((len(SHAPE), 2), NAN)
    points[:known] = 7.0
    with pytest.raises(ValueError, match="two different points"):
        PoseFilm(50, SHAPE)(MetaTensor(torch.zeros(1, 9, 9), affine=torch.eye(3)), points)


@pytest.mark.parametrize(("size", "radius"), [(0, 0.2), (10, 0.0), (10, -1.0), (10, NAN)])
def test_wrong_arguments(size: int, radius: float) -> None:
    with pytest.raises(ValueError, match="size and radius"):
        PoseFilm(size, SHAPE, radius=radius)
