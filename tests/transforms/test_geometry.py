from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import affine_of, landmarks_to_grid, landmarks_to_source, resample
from monai_ceph.transforms.geometry import with_affine

number = st.floats(-5, 5)


@given(entries=st.tuples(*[number] * 6), point=st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)))
@settings(deadline=None, max_examples=60)
def test_grid_and_source_are_inverse(entries: tuple[float, ...], point: tuple[float, float]) -> None:
    a, b, c, d, e, f = entries
    affine = torch.tensor([[6 + a / 5, b / 5, c], [d / 5, 6 + e / 5, f], [0, 0, 1]], dtype=torch.float64)
    points = torch.tensor([point, (float("nan"), float("nan"))], dtype=torch.float64)
    there = landmarks_to_source(points, affine)
    assert there[0].tolist() == pytest.approx((affine @ torch.tensor([*point, 1.0]).double())[:2].tolist())
    assert torch.allclose(landmarks_to_grid(there, affine)[0], points[0], atol=1e-6)
    assert there[1].isnan().all()


def test_batches_of_affines() -> None:
    affines = torch.stack([torch.eye(3).double(), torch.diag(torch.tensor([2.0, 3.0, 1.0])).double()])
    points = torch.ones(2, 4, 2)
    assert landmarks_to_source(points, affines)[:, 0].tolist() == [[1, 1], [2, 3]]


def test_plain_tensor_has_the_identity_and_a_volume_is_refused() -> None:
    assert torch.equal(affine_of(torch.zeros(1, 2, 2)), torch.eye(3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"3x3 affine.*RadiographReader"):
        affine_of(MetaTensor(torch.zeros(1, 2, 2), affine=torch.eye(4)))


def test_metadata_is_kept_and_the_source_is_not_changed() -> None:
    film = MetaTensor(torch.zeros(1, 2, 2), affine=torch.eye(3), meta={"filename_or_obj": "a.png"})
    moved = with_affine(torch.ones(1, 2, 2), film, 2 * torch.eye(3))
    assert moved.meta["filename_or_obj"] == "a.png"
    assert torch.equal(affine_of(moved), 2 * torch.eye(3).double())
    assert torch.equal(affine_of(film), torch.eye(3).double())


def test_resample_by_hand() -> None:
    film = torch.arange(12.0).reshape(1, 3, 4)
    # two rows from row 0.5, columns 3, 2, 1, 0, and one column beyond the film
    matrix = torch.tensor([[1, 0, 0.5], [0, -1, 3], [0, 0, 1]])
    moved = resample(film, matrix, (2, 5))
    assert torch.allclose(moved[0], torch.tensor([[5.0, 4, 3, 2, 0], [9, 8, 7, 6, 0]]), atol=1e-4)
    assert torch.equal(affine_of(moved), matrix.double())


def test_resample_composes_affines() -> None:
    first = torch.tensor([[2.0, 0, 7], [0, 2, -3], [0, 0, 1]])
    film = MetaTensor(torch.rand(1, 8, 8), affine=first)
    matrix = torch.tensor([[0.0, 1, 1], [-1, 0, 6], [0, 0, 1]])
    assert torch.allclose(affine_of(resample(film, matrix, (6, 5))), (first @ matrix).double())


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1)])
@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")
def test_resample_to_one_row_or_column(size: tuple[int, int]) -> None:
    film = torch.rand(1, 7, 9)
    shifted = torch.tensor([[1.0, 0, 2], [0, 1, 3], [0, 0, 1]])
    assert torch.allclose(
        resample(film, shifted, size).as_subclass(torch.Tensor),
        film[:, 2 : 2 + size[0], 3 : 3 + size[1]],
        atol=1e-5,
    )
