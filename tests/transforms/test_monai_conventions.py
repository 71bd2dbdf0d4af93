"""What users of MONAI's transforms expect: lazy operations, Invertd, datasets on the disk, aliases, several keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor, PersistentDataset, decollate_batch
from monai.transforms import Compose, Flipd, Invertd, Rotate90d
from monai.utils import TransformBackends
from PIL import Image

from monai_ceph import transforms

LANDMARKS = torch.tensor([[150.0, 100.0], [200.0, 121.5]], dtype=torch.float64)
SHAPE = [[-1.0, -0.3], [1.0, 0.3]]
Data = dict[str, Any]


def film(rows: int = 300, columns: int = 240) -> MetaTensor:
    """Return a film that is smooth, so that resampling hardly changes it."""
    row, column = torch.arange(rows)[:, None], torch.arange(columns)[None]
    pixels = 0.5 + 0.25 * torch.sin(row / 19) * torch.cos(column / 23) + 0.001 * column
    return MetaTensor(pixels[None].float(), affine=torch.eye(3))


FILM_TRANSFORMS: dict[str, Callable[[], Any]] = {
    "SquareFilmd": lambda: transforms.SquareFilmd("image", 120),
    "WholeFilmd": lambda: transforms.WholeFilmd("image", 150),
    "PoseFilmd": lambda: transforms.PoseFilmd("image", "landmarks", 120, SHAPE),
    "ScaleFilmIntensityd": lambda: transforms.ScaleFilmIntensityd("image", 1, 99),
    "RandFilmAffined": lambda: transforms.RandFilmAffined("image", 1.0, rotate_sd=5.0, scale_sd=0.1, size=200),
    "RandFilmOcclusiond": lambda: transforms.RandFilmOcclusiond("image", "landmarks", 1.0, 2, (0.1, 0.3), 3),
    "RandLandmarkPatchd": lambda: transforms.RandLandmarkPatchd("image", "landmarks", 64, 10),
    "LandmarksToHeatmapsd": lambda: transforms.LandmarksToHeatmapsd("landmarks", "image", "label", 3.0),
    "HeatmapsToLandmarksd": lambda: transforms.HeatmapsToLandmarksd("maps", "image", "found", "argmax", False),
    "RandGuided": lambda: transforms.RandGuided("landmarks", "image", "guide", 4.0),
}


def applied(name: str, data: Mapping[str, Any]) -> Data:
    transform = FILM_TRANSFORMS[name]()
    if hasattr(transform, "set_random_state"):
        transform.set_random_state(3)
    result = transform(data)
    return result[0] if isinstance(result, list) else result


@pytest.mark.parametrize("name", FILM_TRANSFORMS)
def test_pending_lazy_operations_are_not_dropped(name: str) -> None:
    """Outside of MONAI's Compose, which would execute them."""
    # not square, so that a forgotten operation also shows in the shape
    steps = [lambda lazy: Rotate90d("image", lazy=lazy), lambda lazy: Flipd("image", 0, lazy=lazy)]
    found: list[Data] = []
    for lazy in (True, False):
        data: Data = {"image": film(), "landmarks": LANDMARKS, "maps": torch.rand(2, 240, 300, generator=seeded())}
        for step in steps:
            data = step(lazy)(data)
        assert len(data["image"].pending_operations) == (2 if lazy else 0)
        found.append(applied(name, data))
    ours, expected = found
    for key, value in expected.items():
        if key == "image" and ours[key].pending_operations:
            # the film of a transform that only looks at it
            continue
        torch.testing.assert_close(torch.as_tensor(ours[key]), torch.as_tensor(value), atol=1e-4, rtol=0)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class TestInvertd:
    @pytest.mark.parametrize(
        "name", ["SquareFilmd", "WholeFilmd", "PoseFilmd", "RandFilmAffined", "RandLandmarkPatchd"]
    )
    @pytest.mark.parametrize("shape", [(300, 240), (240, 300)], ids=["tall", "wide"])
    def test_a_film_comes_back_to_its_grid(self, name: str, shape: tuple[int, int]) -> None:
        before = film(*shape)
        pipeline = Compose(
            [Flipd("image", 1), FILM_TRANSFORMS[name](), transforms.ScaleFilmIntensityd("image", 0, 100)]
        )
        pipeline.set_random_state(1)
        result = pipeline({"image": before.clone(), "landmarks": LANDMARKS.clamp(max=min(shape) - 20.0)})
        result = result[0] if isinstance(result, list) else result
        inside = transforms.geometry.landmarks_to_source(
            # the middle of the frame
            torch.tensor([[(length - 1) / 2 for length in result["image"].shape[1:]]]),
            result["image"].affine,
        )[0]
        back = Invertd("image", pipeline, orig_keys="image")(result)["image"]
        assert back.shape == before.shape
        torch.testing.assert_close(back.affine, before.affine, atol=1e-6, rtol=0)
        assert not back.applied_operations
        # the frame scales intensities between its own extremes, so compare up to a factor and an offset
        row, column = (round(float(value)) for value in inside)
        window = np.s_[0, row - 12 : row + 12, column - 12 : column + 12]
        agreement = np.corrcoef(back[window].flatten(), before[window].flatten())[0, 1]
        assert agreement > 0.999

    def test_a_heatmap_comes_to_the_place_of_its_landmark(self) -> None:
        """As a user shows what a network found on the film."""
        pipeline = Compose(
            [
                Flipd("image", 1),
                transforms.SquareFilmd("image", 120),
                transforms.RandFilmAffined("image", 1.0, rotate_sd=6.0, scale_sd=0.1, shift_sd=3.0),
                transforms.LandmarksToHeatmapsd("landmarks", "image", "label", 3.0),
            ]
        )
        pipeline.set_random_state(5)
        result = pipeline({"image": film(), "landmarks": LANDMARKS})
        # a network gives a MetaTensor
        result["pred"] = MetaTensor(result["label"])
        back = Invertd("pred", pipeline, orig_keys="image", nearest_interp=False)(result)["pred"]
        assert back.shape == (3, 300, 240)
        find = transforms.HeatmapsToLandmarks("mean", 0.5)
        torch.testing.assert_close(find(back[:-1]), LANDMARKS, atol=0.3, rtol=0)

    def test_batches_of_a_data_loader(self) -> None:
        pipeline = Compose([transforms.SquareFilmd("image", 120), transforms.RandFilmAffined("image", 1.0, 9.0)])
        films = [pipeline({"image": film()}) for _ in range(2)]
        (batch,) = DataLoader(films, batch_size=2)
        for each in decollate_batch(batch):
            assert Invertd("image", pipeline, orig_keys="image")(each)["image"].shape == (1, 300, 240)

    def test_transforms_that_cannot_be_inverted_say_so(self) -> None:
        for name in transforms.__all__:
            member = getattr(transforms, name)
            if isinstance(member, type) and not name.startswith("Load") and not name.endswith(("d", "D", "Dict")):
                invertible = hasattr(member, "inverse")
                assert invertible != ("no inverse" in (member.__doc__ or "")), name
                assert hasattr(getattr(transforms, f"{name}d"), "inverse") == invertible


class TestDatasetsOnTheDisk:
    @pytest.fixture
    def data(self, tmp_path: Path) -> list[Data]:
        file = tmp_path / "film.png"
        Image.fromarray((film()[0].numpy() * 255).astype(np.uint8)).save(file)
        return [{"image": str(file), "landmarks": LANDMARKS.numpy()}]

    @pytest.fixture
    def pipeline(self) -> Compose:
        """The random affine separates what is stored from what is computed at each read."""
        return Compose(
            [
                transforms.LoadRadiographd("image"),
                transforms.SquareFilmd("image", 120),
                transforms.RandFilmAffined("image", prob=0.0),
                transforms.LandmarksToHeatmapsd("landmarks", "image", "label", 3.0),
            ]
        )

    def test_the_second_read_has_the_heatmaps_of_the_first(
        self, data: list[Data], pipeline: Compose, tmp_path: Path
    ) -> None:
        dataset = PersistentDataset(data, pipeline, tmp_path / "cache", track_meta=True, weights_only=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            first, second = dataset[0], dataset[0]
        assert len(list((tmp_path / "cache").iterdir())) == 1
        assert (first["label"][:-1].amax(dim=(1, 2)) > 0.9).all()
        torch.testing.assert_close(torch.as_tensor(second["label"]), torch.as_tensor(first["label"]))

    def test_a_film_that_lost_its_affine_gives_a_warning(
        self, data: list[Data], pipeline: Compose, tmp_path: Path
    ) -> None:
        """With MONAI's defaults the second read is a plain tensor, and its landmarks would be off the film."""
        dataset = PersistentDataset(data, Compose(pipeline.transforms[:2]), tmp_path / "cache")
        to_heatmaps = pipeline.transforms[3]
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            to_heatmaps(dataset[0])
        second = dataset[0]
        assert not isinstance(second["image"], MetaTensor)
        with pytest.warns(UserWarning, match=r"a film without an affine: .* track_meta=True and weights_only=False"):
            to_heatmaps(second)


class TestNames:
    def test_every_dictionary_transform_has_the_aliases_of_monai(self) -> None:
        ends = [
            name for name in transforms.__all__ if name.endswith("d") and isinstance(getattr(transforms, name), type)
        ]
        assert len(ends) == 12
        for name in ends:
            base = name.removesuffix("d")
            assert getattr(transforms, f"{base}D") is getattr(transforms, f"{base}Dict") is getattr(transforms, name)

    def test_backend(self) -> None:
        for name in transforms.__all__:
            member = getattr(transforms, name)
            if isinstance(member, type) and not name.startswith("Load"):
                assert member.backend == [TransformBackends.TORCH], name


class TestSeveralKeys:
    def test_landmarks_of_two_annotators(self) -> None:
        data: Data = {"image": film(), "first": LANDMARKS, "second": LANDMARKS + 5}
        pipeline = Compose(
            [
                transforms.SquareFilmd("image", 120),
                transforms.LandmarksToHeatmapsd(["first", "second"], "image", ["maps 1", "maps 2"], 3.0),
                transforms.HeatmapsToLandmarksd(
                    *(["maps 1", "maps 2"], "image", ["found 1", "found 2"], "argmax", True),
                    score_key=["score 1", "score 2"],
                ),
                transforms.RandGuided(["first", "second"], "image", ["guide 1", "guide 2"], 0.0),
            ]
        )
        result = pipeline(data)
        for number, key in enumerate(("first", "second"), start=1):
            torch.testing.assert_close(result[f"found {number}"], data[key], atol=1e-3, rtol=0)
            assert (result[f"score {number}"] > 0.9).all()
            grid = transforms.landmarks_to_grid(data[key], result["image"].affine)
            torch.testing.assert_close(result[f"guide {number}"], grid)

    @pytest.mark.parametrize("targets", ["label", ["label", "label"], ["a", "b", "c"]])
    def test_a_target_is_not_written_twice(self, targets: Any) -> None:
        with pytest.raises(ValueError, match="target_key: give one of its own for each of"):
            transforms.LandmarksToHeatmapsd(["first", "second"], "image", targets, 3.0)

    def test_each_key_has_its_own_spread(self) -> None:
        data = {"a": LANDMARKS, "b": LANDMARKS, "wide": torch.full((2, 2), 9.0), "none": torch.zeros(2, 2)}
        result = transforms.RandAnnotationd(["a", "b"], ["wide", "none"]).set_random_state(1)(data)
        assert (result["a"] != LANDMARKS).all()
        assert torch.equal(result["b"], LANDMARKS)
        with pytest.raises(ValueError, match="spread_key: give one, or one for each of"):
            transforms.RandAnnotationd(["a", "b"], ["wide", "none", "wide"])
