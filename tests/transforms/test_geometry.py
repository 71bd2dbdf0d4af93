from __future__ import annotations

import math

import pytest
import torch
from dots import film_with_dots, miss
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import affine_of, landmarks_to_grid, landmarks_to_source, resample
from monai_ceph.transforms.geometry import apply, fit_similarity, resample_each, with_affine

number = st.floats(-5, 5)


@given(entries=st.tuples(*[number] * 6), point=st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)))
@settings(max_examples=60)
def test_grid_and_source_are_inverse(entries: tuple[float, ...], point: tuple[float, float]) -> None:
    a, b, c, d, e, f = entries
    affine = torch.tensor([[6 + a / 5, b / 5, c], [d / 5, 6 + e / 5, f], [0, 0, 1]], dtype=torch.float64)
    points = torch.tensor([point, (float("nan"), float("nan"))], dtype=torch.float64)
    there = landmarks_to_source(points, affine)
    assert there[0].tolist() == pytest.approx((affine @ torch.tensor([*point, 1.0], dtype=torch.float64))[:2].tolist())
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


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.int16, torch.float64])
def test_coordinates_are_exact_in_any_type(dtype: torch.dtype, antialias: bool) -> None:
    film = torch.zeros(1, 600, 500)
    film[:, 100:110, 200:210] = 1
    # twice as fine, or half as fine
    step = 2.0 if antialias else 0.5
    matrix = torch.tensor([[step, 0, 90], [0, step, 190], [0, 0, 1]])
    small = resample(film.to(dtype), matrix, (70, 60), antialias=antialias)
    assert small.dtype == (dtype if dtype.is_floating_point else torch.float32)
    expected = resample(film, matrix, (70, 60), antialias=antialias).as_subclass(torch.Tensor)
    assert torch.allclose(small.as_subclass(torch.Tensor).float(), expected, atol=5e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_coordinates_of_many_images_are_exact_in_half_precision(dtype: torch.dtype) -> None:
    images = torch.zeros(2, 600, 500)
    images[:, 301:311, 401:411] = 1
    matrices = torch.tensor([[[1.0, 0, 290], [0, 1, 390], [0, 0, 1]], [[0.5, 0, 299], [0, 0.5, 399], [0, 0, 1]]])
    seen = resample_each(images.to(dtype), matrices, (50, 40))
    assert seen.dtype == dtype
    assert torch.allclose(seen.float(), resample_each(images, matrices, (50, 40)), atol=5e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1)])
def test_resample_to_one_row_or_column(size: tuple[int, int]) -> None:
    film = torch.rand(1, 7, 9)
    shifted = torch.tensor([[1.0, 0, 2], [0, 1, 3], [0, 0, 1]])
    assert torch.allclose(
        resample(film, shifted, size).as_subclass(torch.Tensor),
        film[:, 2 : 2 + size[0], 3 : 3 + size[1]],
        atol=1e-5,
    )


def similarity(angle: float, scale: float, shift: tuple[float, float], mirrored: bool = False) -> torch.Tensor:
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    flip = -1 if mirrored else 1
    matrix = [[cosine, -sine * flip, shift[0]], [sine, cosine * flip, shift[1]], [0, 0, 1]]
    return torch.tensor(matrix, dtype=torch.float64)


def cloud(seed: int, count: int) -> torch.Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


angles, shifts = st.floats(-math.pi, math.pi), st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000))


class TestAntialias:
    @given(
        angle=angles,
        scale=st.floats(0.4, 6),
        size=st.tuples(st.integers(90, 160), st.integers(90, 160)),
        middle=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
        mirrored=st.booleans(),
    )
    @settings(max_examples=60)
    def test_a_dot_stays_under_its_landmark(
        self, angle: float, scale: float, size: tuple[int, int], middle: tuple[float, float], mirrored: bool
    ) -> None:
        # neither in the film nor in the new grid far from the middle
        near = torch.tensor([middle], dtype=torch.float64) * min(scale, 1)
        points = torch.tensor([size], dtype=torch.float64) / 2 + near
        film = film_with_dots(points, size, 2 * max(scale, 1))
        matrix = similarity(angle, scale, (size[0] / 2, size[1] / 2), mirrored)
        matrix[:2, 2] -= matrix[:2, :2] @ torch.tensor([35.5, 30.0]).double()
        small = resample(film, matrix, (72, 61), antialias=True)
        assert torch.equal(affine_of(small), matrix)
        assert miss(small, points, margin=7 / min(scale, 1)) < 0.1

    @given(angle=angles, scale=st.floats(1, 9), height=st.integers(40, 130), width=st.integers(40, 130))
    @settings(max_examples=60)
    def test_a_constant_film_stays_constant_inside_and_is_0_outside(
        self, angle: float, scale: float, height: int, width: int
    ) -> None:
        matrix = similarity(angle, scale, (height / 2, width / 2))
        matrix[:2, 2] -= matrix[:2, :2] @ torch.tensor([19.5, 19.5]).double()
        small = resample(torch.full((1, height, width), 0.7), matrix, (40, 40), antialias=True)[0]
        places = apply(matrix, torch.cartesian_prod(torch.arange(40.0), torch.arange(40.0)).double()).reshape(40, 40, 2)
        beyond = torch.maximum(-0.5 - places, places - torch.tensor([height - 0.5, width - 0.5])).amax(dim=2)
        # from one pixel of the new grid inside the film's edge to one outside, it fades
        values = small.as_subclass(torch.Tensor)
        assert torch.allclose(values[beyond < -scale], torch.tensor(0.7), atol=1e-5)
        assert (values[beyond > scale] == 0).all()

    @pytest.mark.parametrize("step", [4, 5, 7.5])
    def test_details_finer_than_the_new_grid_are_averaged(self, step: float) -> None:
        board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(60, 60)[None]
        matrix = similarity(0.4, step, (0, 0))
        matrix[:2, 2] = 60 - matrix[:2, :2] @ torch.tensor([4.0, 4.0]).double()
        plain = resample(board, matrix, (9, 9))
        smooth = resample(board, matrix, (9, 9), antialias=True)
        assert (smooth - 0.5).abs().max() < 0.05
        assert (plain - 0.5).abs().max() > 0.25

    def test_a_little_shrinking_is_smoothed_too(self) -> None:
        board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(30, 30)[None]
        matrix = similarity(0, 1.5, (6, 6))
        plain, smooth = (resample(board, matrix, (30, 30), antialias=each) for each in (False, True))
        assert smooth.std() < 0.5 * plain.std()

    @pytest.mark.parametrize("scale", [0.3, 0.9, 1.0])
    def test_without_shrinking_nothing_changes(self, scale: float) -> None:
        film = MetaTensor(torch.rand(2, 30, 25), affine=torch.diag(torch.tensor([2.0, 2, 1])), meta={"file": "a.png"})
        matrix = similarity(0.3, scale, (4, 2))
        plain, smooth = (resample(film, matrix, (28, 21), antialias=each) for each in (False, True))
        assert torch.allclose(plain.as_subclass(torch.Tensor), smooth.as_subclass(torch.Tensor), atol=1e-5)
        assert torch.equal(affine_of(plain), affine_of(smooth))
        assert plain.meta["file"] == smooth.meta["file"] == "a.png"

    def test_a_linear_gradient_stays_linear(self) -> None:
        # four pixels become one; the filter looks at eight, which the film's border cuts
        film = torch.arange(40.0)[:, None] + 100 * torch.arange(32.0)[None]
        matrix = torch.tensor([[4.0, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])
        small = resample(film[None], matrix, (10, 8), antialias=True)[0]
        rows, columns = 1.5 + 4 * torch.arange(10.0)[:, None], 1.5 + 4 * torch.arange(8.0)[None]
        expected = (rows + 100 * columns)[1:-1, 1:-1]
        assert torch.allclose(small[1:-1, 1:-1].as_subclass(torch.Tensor), expected, atol=0.01)


class TestFitSimilarity:
    @given(
        angle=angles,
        scale=st.floats(1e-3, 1e3),
        shift=shifts,
        mirrored=st.booleans(),
        seed=st.integers(0, 2**31),
        count=st.integers(2, 19),
    )
    @settings(max_examples=80)
    def test_finds_the_map(
        self, angle: float, scale: float, shift: tuple[float, float], mirrored: bool, seed: int, count: int
    ) -> None:
        model, matrix = cloud(seed, count), similarity(angle, scale, shift, mirrored)
        weights = 0.1 + cloud(seed + 1, count)[:, 0].abs()
        for given_weights in (None, weights):
            found = fit_similarity(model, apply(matrix, model), mirrored=mirrored, weights=given_weights)
            assert found.dtype == torch.float64
            assert torch.allclose(apply(found, model), apply(matrix, model), atol=1e-6)
            if (model - model[0]).norm(dim=1).max() > 0.1:
                assert torch.allclose(found, matrix, atol=1e-5 * max(scale, 1))

    @given(seed=st.integers(0, 2**31), count=st.integers(3, 19), mirrored=st.booleans())
    @settings(max_examples=40)
    def test_is_the_weighted_least_squares_solution(self, seed: int, count: int, mirrored: bool) -> None:
        model, found = cloud(seed, count), 3 * cloud(seed + 1, count) + 8
        weights = cloud(seed + 2, count)[:, 0].abs() + 0.01
        flip = -1 if mirrored else 1
        one, zero = torch.ones(count).double(), torch.zeros(count).double()
        row, column = model[:, 0], flip * model[:, 1]
        # row' = a row - b column + c, column' = b row + a column + d
        system = torch.cat((torch.stack((row, -column, one, zero)).mT, torch.stack((column, row, zero, one)).mT))
        root = weights.sqrt().repeat(2)[:, None]
        a, b, c, d = torch.linalg.lstsq(root * system, root * found.mT.reshape(-1, 1)).solution[:, 0].tolist()
        expected = torch.tensor([[a, -b * flip, c], [b, a * flip, d], [0, 0, 1]]).double()
        fitted = fit_similarity(model, found, mirrored=mirrored, weights=weights)
        assert torch.allclose(fitted, expected, atol=1e-4)

    def test_points_that_are_not_known_are_left_out_with_their_weights(self) -> None:
        model, found, weights = cloud(0, 8), cloud(1, 8), torch.arange(1.0, 9)
        found[2, 0] = math.nan
        found[5] = math.nan
        known = torch.tensor([0, 1, 3, 4, 6, 7])
        fitted = fit_similarity(model, found, weights=weights)
        assert torch.allclose(fitted, fit_similarity(model[known], found[known], weights=weights[known]))

    def test_only_ratios_of_weights_matter_and_weight_0_leaves_out_a_point(self) -> None:
        model, found = cloud(0, 6), cloud(1, 6)
        weights = torch.tensor([1.0, 2, 0, 3, 1, 5])
        fitted = fit_similarity(model, found, weights=weights)
        assert torch.allclose(fitted, fit_similarity(model, found, weights=1e-6 * weights))
        found[2] = math.nan
        assert torch.allclose(fitted, fit_similarity(model, found, weights=weights))

    def test_a_mirrored_pattern_needs_the_mirror(self) -> None:
        model = cloud(3, 7)
        mirrored = model * torch.tensor([1.0, -1.0]).double()
        assert torch.allclose(apply(fit_similarity(model, mirrored, mirrored=True), model), mirrored)
        assert (apply(fit_similarity(model, mirrored), model) - mirrored).abs().max() > 0.3

    def test_the_arguments_are_not_changed(self) -> None:
        model, found, weights = cloud(0, 5), cloud(1, 5), torch.ones(5)
        before = model.clone(), found.clone(), weights.clone()
        fit_similarity(model, found, mirrored=True, weights=weights)
        assert all(torch.equal(*pair) for pair in zip(before, (model, found, weights), strict=True))

    @pytest.mark.parametrize("known", [0, 1])
    def test_too_few_points(self, known: int) -> None:
        found = torch.full((5, 2), math.nan)
        found[:known] = 3.0
        with pytest.raises(ValueError, match="two different points"):
            fit_similarity(cloud(0, 5), found)
        weights = torch.zeros(5)
        weights[:known] = 1
        with pytest.raises(ValueError, match="two different points"):
            fit_similarity(cloud(0, 5), cloud(1, 5), weights=weights)

    @given(point=st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)), count=st.integers(2, 9))
    @settings(max_examples=60)
    def test_one_point_several_times(self, point: tuple[float, float], count: int) -> None:
        weights = cloud(count, count)[:, 0].abs()
        for given_weights in (None, weights):
            with pytest.raises(ValueError, match="two different points"):
                fit_similarity(torch.tensor([point] * count), cloud(0, count), weights=given_weights)
