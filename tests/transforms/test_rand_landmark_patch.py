from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import CacheDataset, DataLoader, MetaTensor, list_data_collate
from monai.transforms import Compose

from monai_ceph.transforms import (
    LandmarksToHeatmaps,
    LandmarksToHeatmapsd,
    RandLandmarkPatch,
    RandLandmarkPatchd,
    SquareFilm,
    affine_of,
    landmarks_to_grid,
)
from monai_ceph.transforms.rand_landmark_patch import crop_patch

LANDMARKS = torch.tensor([[3.0, 4.0], [20.4, 30.6], [math.nan, math.nan], [39.0, 47.0]], dtype=torch.float64)
FILM = MetaTensor(torch.arange(1.0, 40 * 48 + 1).reshape(1, 40, 48), affine=torch.eye(3))


@given(seed=st.integers(0, 2**31), size=st.integers(2, 30), offset=st.floats(0, 0.99), count=st.integers(1, 5))
@settings(max_examples=60)
def test_a_landmark_lies_within_the_offset_of_every_centre(seed: int, size: int, offset: float, count: int) -> None:
    sampler = RandLandmarkPatch(size, offset * size / 2, count).set_random_state(seed)
    patches = sampler(FILM, LANDMARKS)
    assert len(patches) == count
    for patch in patches:
        assert patch.shape == (1, size, size)
        places = landmarks_to_grid(LANDMARKS, affine_of(patch))
        distance = (places - (size - 1) / 2).abs().amax(dim=1).nan_to_num(torch.inf).min()
        assert distance <= offset * size / 2 + 0.5 + 1e-9


def test_all_annotated_landmarks_are_chosen_equally_and_offsets_are_uniform() -> None:
    sampler = RandLandmarkPatch(11, 4, 4000).set_random_state(0)
    sampler.randomize(LANDMARKS)
    centres = torch.tensor(sampler.starts) + 5
    distance = (centres[:, None] - LANDMARKS).abs().amax(dim=2).nan_to_num(torch.inf)
    counts = distance.argmin(dim=1).bincount(minlength=4)
    assert counts[2] == 0
    assert ((counts[[0, 1, 3]] / 4000 - 1 / 3).abs() < 0.03).all()
    offsets = (centres - LANDMARKS[distance.argmin(dim=1)]).double()
    # uniform in -4..4: standard deviation 4 / sqrt(3)
    assert offsets.std(dim=0).tolist() == pytest.approx([4 / math.sqrt(3)] * 2, rel=0.04)
    assert offsets.mean(dim=0).tolist() == pytest.approx([0, 0], abs=0.15)


@given(start=st.tuples(st.integers(-70, 70), st.integers(-70, 70)), size=st.integers(1, 60))
@settings(max_examples=100)
def test_pixels_and_affine_of_a_patch_are_exact_and_0_outside(start: tuple[int, int], size: int) -> None:
    patch = crop_patch(FILM, start, size)
    assert patch.shape == (1, size, size)
    canvas = np.zeros((300, 300), dtype=np.float32)
    canvas[100:140, 100:148] = FILM[0].numpy()
    row, column = start[0] + 100, start[1] + 100
    np.testing.assert_array_equal(patch[0].numpy(), canvas[row : row + size, column : column + size])
    assert affine_of(patch).tolist() == [[1, 0, start[0]], [0, 1, start[1]], [0, 0, 1]]


def test_patch_is_a_copy() -> None:
    before = FILM.clone()
    crop_patch(FILM, (0, 0), 40)[:] = -1
    assert torch.equal(FILM, before)


@pytest.mark.parametrize("seed", range(5))
def test_heatmaps_of_a_patch_are_the_crop_of_the_heatmaps_of_the_film(seed: int) -> None:
    film = SquareFilm(24)(FILM)
    whole = LandmarksToHeatmaps(2.0)(landmarks_to_grid(LANDMARKS, affine_of(film)), (24, 24))
    sampler = RandLandmarkPatch(10, 4).set_random_state(seed)
    [patch] = sampler(film, LANDMARKS)
    result = LandmarksToHeatmapsd("points", "film", "label", 2.0)({"points": LANDMARKS, "film": patch})
    [(row, column)] = sampler.starts
    rows = slice(max(row, 0), min(row + 10, 24))
    columns = slice(max(column, 0), min(column + 10, 24))
    part = result["label"][:, rows.start - row : rows.stop - row, columns.start - column : columns.stop - column]
    assert torch.allclose(part, whole[:, rows, columns], atol=1e-6, equal_nan=True)


def test_same_seed_same_patches() -> None:
    sampler = RandLandmarkPatchd("image", "landmarks", 12, 5.0, 6)
    data = {"image": FILM, "landmarks": LANDMARKS}
    first = sampler.set_random_state(7)(data)
    again = sampler.set_random_state(7)(data)
    other = sampler.set_random_state(8)(data)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))


def test_every_key_is_cut_at_the_same_place() -> None:
    data = {"image": FILM, "mask": FILM * 2, "landmarks": LANDMARKS, "name": "a"}
    for patch in RandLandmarkPatchd(["image", "mask"], "landmarks", 12, 5.0, 3).set_random_state(1)(data):
        assert torch.equal(patch["image"] * 2, patch["mask"])
        assert patch["landmarks"] is LANDMARKS
        assert patch["name"] == "a"


def test_without_a_film_each_sample_has_the_data_as_they_are() -> None:
    data = {"landmarks": LANDMARKS, "name": "x"}
    sampler = RandLandmarkPatchd(["image", "mask"], "landmarks", 12, 5.0, 3, allow_missing_keys=True)
    samples = sampler(data)
    assert samples == [data] * 3
    assert len({id(sample) for sample in [data, *samples]}) == 4
    with pytest.raises(KeyError, match="image"):
        RandLandmarkPatchd("image", "landmarks", 12, 5.0)(data)


def pipeline() -> Compose:
    return Compose(
        [
            RandLandmarkPatchd("image", "landmarks", 16, 6.0, 3),
            LandmarksToHeatmapsd("landmarks", "image", "label", 2.0),
        ]
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_in_a_cached_dataset_and_a_loader(num_workers: int) -> None:
    data = [{"image": FILM + k, "landmarks": LANDMARKS.numpy()} for k in range(3)]
    dataset = CacheDataset(data, pipeline().set_random_state(0), num_workers=None, progress=False)
    loader = DataLoader(dataset, batch_size=3, num_workers=num_workers, collate_fn=list_data_collate)
    [batch] = list(loader)
    assert batch["image"].shape == (9, 1, 16, 16)
    assert batch["label"].shape == (9, 5, 16, 16)
    assert batch["label"][:, 2].isnan().all()
    # a known landmark rises above the threshold of the loss in every patch
    assert (batch["label"][:, [0, 1, 3]].flatten(1).amax(dim=1) > 0.5).all()
    affines = batch["image"].affine
    assert affines.shape == (9, 3, 3)
    for image, affine, number in zip(batch["image"], affines, [0, 0, 0, 1, 1, 1, 2, 2, 2], strict=True):
        expected = crop_patch(FILM + number, (int(affine[0, 2]), int(affine[1, 2])), 16)
        assert torch.equal(image.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor))


def test_the_cache_does_not_freeze_the_draws() -> None:
    dataset = CacheDataset(
        [{"image": FILM, "landmarks": LANDMARKS}], pipeline().set_random_state(0), num_workers=None, progress=False
    )
    places = {tuple(affine_of(patch["image"])[:2, 2].tolist()) for _ in range(6) for patch in dataset[0]}
    assert len(places) > 10


def test_a_film_without_any_landmark_is_refused() -> None:
    with pytest.raises(ValueError, match="without any annotated landmark"):
        RandLandmarkPatch(10, 2)(FILM, torch.full((3, 2), math.nan))


@pytest.mark.parametrize(("size", "offset", "count"), [(0, 0, 1), (10, -1, 1), (10, 2, 0)])
def test_wrong_arguments(size: int, offset: float, count: int) -> None:
    with pytest.raises(ValueError, match=r"size|max_offset"):
        RandLandmarkPatch(size, offset, count)
