from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import CacheDataset, MetaTensor
from monai.transforms import Compose
from torch.nn import functional as F

from monai_ceph.transforms import (
    LandmarksToHeatmapsd,
    RandFilmOcclusion,
    RandFilmOcclusiond,
    RandLandmarkPatchd,
    SquareFilm,
    affine_of,
    landmarks_to_source,
)
from monai_ceph.transforms.rand_film_occlusion import OUT_OF_SIGHT

seeds = st.integers(0, 2**31)
# no pixel is 0 or 1: what is blank can be seen
FILM = MetaTensor(
    torch.rand(1, 37, 52, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1,
    affine=torch.tensor([[2.0, 0, 11], [0, 2, -7], [0, 0, 1]]),
)
PIXELS = torch.cartesian_prod(torch.arange(37.0), torch.arange(52.0)).double()
EVERYWHERE = landmarks_to_source(PIXELS, affine_of(FILM))


def state(landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return which of `EVERYWHERE`, as pixels of `FILM`, are left, hidden and not annotated."""
    left, hidden, unknown = (landmarks == EVERYWHERE), (landmarks == OUT_OF_SIGHT), landmarks.isnan()
    masks = [mask.all(dim=1).reshape(FILM.shape[1:]) for mask in (left, hidden, unknown)]
    assert (torch.stack(masks).sum(dim=0) == 1).all()
    return masks[0], masks[1], masks[2]


def eroded(mask: torch.Tensor, margin: int, *, outside: bool) -> torch.Tensor:
    """Return the pixels that have nothing but the mask as far as ``margin`` in every direction."""
    gaps = F.pad((~mask).float()[None, None], [margin] * 4, value=float(not outside))
    return F.max_pool2d(gaps, 2 * margin + 1, 1)[0, 0] == 0


@given(seed=seeds, margin=st.integers(0, 6), count=st.integers(1, 4))
@settings(max_examples=60)
def test_landmarks_under_a_rectangle_are_removed(seed: int, margin: int, count: int) -> None:
    """A landmark on every pixel of the film."""
    cover = RandFilmOcclusion(1.0, count, (0.1, 0.8), margin).set_random_state(seed)
    film, landmarks = cover(FILM, EVERYWHERE)
    blank = (film[0] != FILM[0]).as_subclass(torch.Tensor)
    left, hidden, _ = state(landmarks)
    assert torch.equal(left, ~blank)
    assert not (hidden & ~eroded(blank, margin, outside=True)).any()
    if len(cover.rectangles) == 1:
        # a rectangle may end at the film's border or go on outside
        assert not (eroded(blank, margin, outside=False) & ~hidden).any()


@given(seed=seeds, margin=st.integers(1, 6))
@settings(max_examples=30)
def test_every_rectangle_by_itself(seed: int, margin: int) -> None:
    cover = RandFilmOcclusion(1.0, 4, (0.1, 0.8), margin).set_random_state(seed)
    film, landmarks = cover(FILM, EVERYWHERE)
    left, hidden, _ = state(landmarks)
    expected = FILM.as_subclass(torch.Tensor).clone()
    below, deep = torch.zeros(37, 52, dtype=torch.bool), torch.zeros(37, 52, dtype=torch.bool)
    for (top, left_most, bottom, right), value in zip(cover.rectangles, cover.values, strict=True):
        rows, columns = (torch.arange(length) for length in (37, 52))
        inside = [
            ((rows >= top + by) & (rows < bottom - by))[:, None] & (columns >= left_most + by) & (columns < right - by)
            for by in (0, margin)
        ]
        expected[0, inside[0]] = value
        below, deep = below | inside[0], deep | inside[1]
    assert torch.equal(film.as_subclass(torch.Tensor), expected)
    assert torch.equal(left, ~below)
    assert torch.equal(hidden, deep)


def drawn(cover: RandFilmOcclusion, *rectangles: tuple[int, int, int, int]) -> RandFilmOcclusion:
    cover.rectangles, cover.values = list(rectangles), [0.0] * len(rectangles)
    return cover


@pytest.mark.parametrize(
    ("place", "fate"),
    [
        # rows 10 to 29
        ((9.9, 20), "left"),
        ((10.0, 20), "unknown"),
        ((12.9, 20), "unknown"),
        ((13.0, 20), "hidden"),
        ((26.0, 20), "hidden"),
        ((26.1, 20), "unknown"),
        ((29.1, 20), "left"),
        # columns 5 to 59: beyond the film's last one, 51
        ((20, 7.9), "unknown"),
        ((20, 8.0), "hidden"),
        ((20, 51.0), "hidden"),
        ((20, 56.0), "hidden"),
        ((20, 60.0), "left"),
    ],
)
def test_by_hand(place: tuple[float, float], fate: str) -> None:
    cover = drawn(RandFilmOcclusion(1.0, 1, (0.1, 0.1), margin=3), (10, 5, 30, 60))
    point = landmarks_to_source(torch.tensor([place]), affine_of(FILM))
    expected = {"left": point, "hidden": torch.full_like(point, OUT_OF_SIGHT), "unknown": point + math.nan}[fate]
    assert torch.allclose(cover.hide(point, affine_of(FILM)), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("order", [1, -1])
def test_a_landmark_hidden_by_one_rectangle_stays_hidden(order: int) -> None:
    # the landmark lies in the middle of one and at the border of the other
    rectangles = [(0, 0, 30, 30), (14, 14, 35, 35)][::order]
    cover = drawn(RandFilmOcclusion(1.0, 2, (0.1, 0.1), margin=4), *rectangles)
    point = landmarks_to_source(torch.tensor([[15.0, 15.0]]), affine_of(FILM))
    assert cover.hide(point, affine_of(FILM)).tolist() == [[OUT_OF_SIGHT] * 2]


def test_landmarks_without_annotation_stay_nan() -> None:
    cover = drawn(RandFilmOcclusion(1.0, 1, (0.1, 0.1), margin=0), (0, 0, 37, 52))
    assert cover.hide(torch.tensor([[math.nan, math.nan]]), affine_of(FILM)).isnan().all()


def test_nothing_is_changed_in_place() -> None:
    film, landmarks = FILM.clone(), EVERYWHERE.clone()
    covered, hidden = RandFilmOcclusion(1.0, 3, (0.5, 0.9), 2.0).set_random_state(0)(film, landmarks)
    assert torch.equal(film, FILM)
    assert torch.equal(landmarks, EVERYWHERE)
    assert not torch.equal(covered, FILM)
    assert not torch.equal(hidden, EVERYWHERE)
    assert torch.equal(affine_of(covered), affine_of(FILM))


def test_probability_0_is_the_identity() -> None:
    film, landmarks = RandFilmOcclusion(0.0, 3, (0.5, 0.9), 2.0)(FILM, EVERYWHERE)
    assert torch.equal(film.as_subclass(torch.Tensor), FILM.as_subclass(torch.Tensor))
    assert torch.equal(landmarks, EVERYWHERE)


def test_draws() -> None:
    cover = RandFilmOcclusion(0.6, 3, (0.1, 0.4), 2.0).set_random_state(0)
    counts, sides, centres, values = [], [], [], []
    for _ in range(4000):
        cover.randomize((2000, 1000))
        counts.append(len(cover.rectangles))
        values += cover.values
        for top, left, bottom, right in cover.rectangles:
            sides.append(((bottom - top) / 2000, (right - left) / 1000))
            centres.append(((top + bottom) / 4000, (left + right) / 2000))
    share = np.bincount(counts) / 4000
    assert share.tolist() == pytest.approx([0.4, 0.2, 0.2, 0.2], abs=0.025)
    logs = np.log(sides)
    # uniform: the standard deviation is the width over the root of 12
    assert logs.mean(axis=0).tolist() == pytest.approx([np.log([0.1, 0.4]).mean()] * 2, abs=0.02)
    assert logs.std(axis=0).tolist() == pytest.approx([math.log(4) / math.sqrt(12)] * 2, rel=0.05)
    assert np.exp(logs.min()) > 0.099
    assert np.exp(logs.max()) < 0.401
    assert abs(np.corrcoef(logs.T)[0, 1]) < 0.05
    assert np.mean(centres, axis=0).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.std(centres, axis=0).tolist() == pytest.approx([1 / math.sqrt(12)] * 2, rel=0.05)
    assert [np.mean(np.equal(values, each)) for each in (0, 1)] == pytest.approx([0.5, 0.2], abs=0.025)
    assert 0 <= min(values) <= max(values) <= 1


def test_hidden_landmarks_leave_the_background_and_those_at_the_border_are_not_learnt() -> None:
    film = SquareFilm(64)(MetaTensor(torch.rand(1, 128, 128), affine=torch.eye(3)))
    on_grid = torch.tensor([[30.0, 30], [30, 11], [50, 50]])
    # over the rows and columns 10 to 40
    cover = drawn(RandFilmOcclusion(1.0, 1, (0.1, 0.1), margin=4), (10, 10, 41, 41))
    landmarks = cover.hide(landmarks_to_source(on_grid, affine_of(film)), affine_of(film))
    to_heatmaps = LandmarksToHeatmapsd("landmarks", "image", "label", 3.0)
    label = to_heatmaps({"image": cover.cover(film), "landmarks": landmarks})["label"]
    assert (label[0] == 0).all()
    assert label[1].isnan().all()
    assert label[2].argmax().item() == 50 * 64 + 50
    assert torch.allclose(label[3], 1 - label[2])


def test_dictionary_form_covers_every_key_alike_and_repeats_with_a_seed() -> None:
    data = {"image": FILM, "other": FILM + 0, "landmarks": EVERYWHERE.numpy(), "name": "x"}
    cover = RandFilmOcclusiond(["image", "other"], "landmarks", 1.0, 3, (0.2, 0.6), 2.0)
    first, again = (Compose([cover]).set_random_state(5)(data) for _ in range(2))
    assert torch.equal(first["image"], first["other"])
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["landmarks"].nan_to_num(-1), again["landmarks"].nan_to_num(-1))
    assert first["name"] == "x"
    left, _, _ = state(first["landmarks"])
    assert torch.equal(left, (first["image"] == FILM)[0].as_subclass(torch.Tensor))
    assert not torch.equal(first["image"], Compose([cover]).set_random_state(6)(data)["image"])
    assert np.array_equal(data["landmarks"], EVERYWHERE.numpy())


def test_data_without_a_film_stay_as_they_are() -> None:
    data = {"landmarks": EVERYWHERE, "name": "x"}
    cover = RandFilmOcclusiond(["image", "other"], "landmarks", 1.0, 3, (0.2, 0.6), 2.0, allow_missing_keys=True)
    assert cover(data) == data
    with pytest.raises(KeyError, match="image"):
        RandFilmOcclusiond("image", "landmarks", 1.0, 3, (0.2, 0.6), 2.0)(data)


def test_each_patch_of_a_film_gets_its_own_rectangles() -> None:
    chain = Compose(
        [
            RandLandmarkPatchd("image", "landmarks", 24, 0.0, 4),
            RandFilmOcclusiond("image", "landmarks", 1.0, 1, (0.5, 0.9), 2.0),
        ]
    ).set_random_state(1)
    point = EVERYWHERE[1000:1001]
    patches = chain({"image": FILM, "landmarks": point})
    # all show the same part of the film
    assert len({str(affine_of(patch["image"]).tolist()) for patch in patches}) == 1
    assert len({patch["image"].sum().item() for patch in patches}) == 4
    assert torch.equal(point, EVERYWHERE[1000:1001])


def test_the_cache_does_not_freeze_the_draws() -> None:
    data = [{"image": FILM, "landmarks": EVERYWHERE}]
    chain = Compose([RandFilmOcclusiond("image", "landmarks", 1.0, 2, (0.2, 0.6), 2.0)])
    dataset = CacheDataset(data, chain, num_workers=None, progress=False)
    assert not torch.equal(dataset[0]["image"], dataset[0]["image"])


@pytest.mark.parametrize(
    ("count", "size", "margin"),
    [(0, (0.1, 0.2), 1), (1, (0.0, 0.2), 1), (1, (0.3, 0.2), 1), (1, (0.1, 0.2), -1), (1, (0.1, math.nan), 1)],
)
def test_wrong_arguments(count: int, size: tuple[float, float], margin: float) -> None:
    with pytest.raises(ValueError, match="max_count"):
        RandFilmOcclusion(1.0, count, size, margin)
