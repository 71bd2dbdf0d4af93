from __future__ import annotations

import pytest
import torch
from dots import film_with_dots, miss, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import WholeFilm, WholeFilmd, affine_of, landmarks_to_grid

FILM = torch.rand(1, 47, 90, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(2400, 1935), (1935, 2400), (968, 968), (100, 80), (150, 450)])
def test_the_longer_side_fills_the_square_and_the_shorter_is_centred(shape: tuple[int, int]) -> None:
    whole = WholeFilm(290)(MetaTensor(torch.zeros(1, *shape), affine=torch.eye(3)))
    assert whole.shape == (1, 290, 290)
    # the film's edges, half a pixel outside the centres
    edges = torch.tensor([[-0.5, -0.5], [shape[0] - 0.5, shape[1] - 0.5]])
    first, last = landmarks_to_grid(edges, affine_of(whole))
    step = max(shape) / 290
    assert (last - first).tolist() == pytest.approx([shape[0] / step, shape[1] / step])
    assert (first + last).tolist() == pytest.approx([289, 289])


@given(
    height=st.integers(60, 130),
    width=st.integers(60, 130),
    size=st.integers(40, 150),
    place=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
)
@settings(max_examples=40)
def test_a_dot_stays_under_its_landmark(height: int, width: int, size: int, place: tuple[float, float]) -> None:
    point = torch.tensor([[place[0] * height, place[1] * width]])
    film = WholeFilm(size)(film_with_dots(point, (height, width), 1.5 * max(1, max(height, width) / size)))
    assert miss(film, point, margin=3) < 0.1


def test_without_a_change_of_size_the_film_is_copied_between_zeros() -> None:
    film = 1 + FILM[:, :, :47]
    whole = WholeFilm(47)(film)
    assert torch.allclose(whole.as_subclass(torch.Tensor), film, atol=1e-5)
    # 48 rows and 40 columns: 4 columns of nothing on each side
    narrow = 1 + torch.rand(1, 48, 40)
    padded = WholeFilm(48)(narrow).as_subclass(torch.Tensor)
    assert torch.allclose(padded, torch.nn.functional.pad(narrow, (4, 4)), atol=1e-5)


@pytest.mark.parametrize("size", [7, 30, 200])
def test_a_constant_square_stays_constant(size: int) -> None:
    whole = WholeFilm(size)(torch.full((1, 60, 60), 0.7))
    # what a magnified film shows beyond the centres of its outer pixels fades
    rim = 3 if size > 60 else 0
    assert torch.allclose(whole[0, rim : size - rim, rim : size - rim].as_subclass(torch.Tensor), torch.tensor(0.7))


def test_shrinking_is_antialiased() -> None:
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(30, 30)[None]
    assert (WholeFilm(12)(board)[0, 1:-1, 1:-1] - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("size", [31, 64, 120])
def test_a_turned_or_mirrored_film_is_the_film_turned_or_mirrored(size: int) -> None:
    whole = WholeFilm(size)
    for turned in (lambda film: film.flip(-1), lambda film: film.flip(-2), lambda film: torch.rot90(film, 1, (-2, -1))):
        expected = turned(whole(FILM).as_subclass(torch.Tensor))
        assert torch.allclose(whole(turned(FILM)).as_subclass(torch.Tensor), expected, atol=1e-5)


@pytest.mark.parametrize("size", [30, 200])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype, size: int) -> None:
    whole = WholeFilm(size)(FILM.to(dtype))
    assert whole.dtype == dtype
    expected = WholeFilm(size)(FILM.to(dtype).float()).as_subclass(torch.Tensor)
    assert torch.equal(whole.as_subclass(torch.Tensor), expected.to(dtype))


def test_dictionary_form_and_affines_add_up() -> None:
    point = torch.tensor([[40.0, 70.0]])
    film = WholeFilm(64)(film_with_dots(point, (96, 128), 4.0))
    data = {"image": film, "other": film, "name": "x"}
    twice = WholeFilmd(["image", "other"], 40)(data)
    assert set(twice) == {"image", "other", "name"}
    assert torch.equal(seen(twice["image"]), seen(twice["other"]))
    assert miss(twice["image"], point, margin=6) < 0.1
    assert data["image"].shape == (1, 64, 64)


def test_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="size"):
        WholeFilm(0)
