from __future__ import annotations

import pytest
import torch
from dots import film_with_dots, miss, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import SquareFilm, SquareFilmd, affine_of


def test_the_crop_of_the_paper() -> None:
    """Section 3: 1935 x 1935 px, y less 465."""
    film = torch.rand(1, 2400, 1935)
    square = SquareFilm(1935)(film)
    assert torch.allclose(square.as_subclass(torch.Tensor), film[:, 465:], atol=1e-6)
    assert torch.equal(affine_of(square), torch.tensor([[1.0, 0, 465], [0, 1, 0], [0, 0, 1]]).double())


@pytest.mark.parametrize("size", [290, 968])
def test_scales_of_the_paper(size: int) -> None:
    square = SquareFilm(size)(MetaTensor(torch.zeros(1, 2400, 1935), affine=torch.eye(3)))
    assert square.shape == (1, size, size)
    corner = affine_of(square) @ torch.tensor([[-0.5, size - 0.5], [-0.5, size - 0.5], [1, 1]]).double()
    # the edges of the grid are the edges of the crop, half a pixel outside the centres
    assert torch.allclose(corner[:2], torch.tensor([[464.5, 2399.5], [-0.5, 1934.5]]).double())


def test_wide_film_is_padded_above() -> None:
    film = 1 + torch.rand(1, 5, 8)
    square = SquareFilm(8)(film)
    assert torch.equal(square[0, :3].as_subclass(torch.Tensor), torch.zeros(3, 8))
    assert torch.allclose(square[:, 3:].as_subclass(torch.Tensor), film)
    assert torch.equal(affine_of(square), torch.tensor([[1.0, 0, -3], [0, 1, 0], [0, 0, 1]]).double())


@given(
    height=st.integers(50, 110),
    width=st.integers(50, 110),
    size=st.integers(35, 70),
    place=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
)
@settings(max_examples=40)
def test_a_dot_stays_under_its_landmark(height: int, width: int, size: int, place: tuple[float, float]) -> None:
    side = min(height, width)
    point = torch.tensor([[height - side + place[0] * side, place[1] * width]])
    film = SquareFilm(size)(film_with_dots(point, (height, width), 1.2 * max(1, width / size)))
    assert miss(film, point, margin=3) < 0.1


@pytest.mark.parametrize("size", [7, 31, 90])
def test_a_constant_stays_constant(size: int) -> None:
    square = SquareFilm(size)(torch.full((1, 61, 53), 0.7))
    assert torch.allclose(square.as_subclass(torch.Tensor), torch.tensor(0.7))


def test_shrinking_is_antialiased() -> None:
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(30, 30)[None]
    assert (SquareFilm(12)(board)[0, 1:-1, 1:-1] - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.int16])
def test_types_other_than_single_precision(dtype: torch.dtype) -> None:
    film = (200 * torch.rand(1, 90, 61, generator=torch.Generator().manual_seed(0))).to(dtype)
    square = SquareFilm(23)(film)
    assert square.dtype == (dtype if dtype.is_floating_point else torch.float32)
    expected = SquareFilm(23)(film.float()).as_subclass(torch.Tensor)
    assert torch.equal(square.as_subclass(torch.Tensor), expected.to(square.dtype))


def test_dictionary_form_and_affines_add_up() -> None:
    point = torch.tensor([[70.0, 30.0]])
    film = SquareFilm(48)(film_with_dots(point, (96, 64), 3.0))
    twice = SquareFilmd(["image", "other"], 30)({"image": film, "other": film, "name": "x"})
    assert set(twice) == {"image", "other", "name"}
    assert torch.equal(seen(twice["image"]), seen(twice["other"]))
    assert miss(twice["image"], point, margin=6) < 0.1
    assert film.shape == (1, 48, 48)


def test_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="size"):
        SquareFilm(0)
