"""Parts of the graph give what the parts of the package give that they repeat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("ndonnx", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("spox", reason="the extra onnx is not installed (make optional)")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed (make optional)")

import ndonnx as ndx
import onnxruntime

from monai_ceph.inferers.evidence import ShapeModel
from monai_ceph.inferers.exposed_field import exposed_field
from monai_ceph.onnx_graph import certainty, decoding, geometry, intensity
from monai_ceph.transforms import HeatmapsToLandmarks, ScaleFilmIntensity
from monai_ceph.transforms.geometry import fit_similarity, resample


def compiled(part: Callable[..., ndx.Array], *ranks: int) -> Callable[..., np.ndarray]:
    """Return a function that runs a part of the graph on arrays of any size."""
    inputs = [
        ndx.argument(shape=tuple(f"{place}_{axis}" for axis in range(rank)), dtype=ndx.float32)
        for place, rank in enumerate(ranks)
    ]
    names = [f"input_{place}" for place in range(len(ranks))]
    model = ndx.build(dict(zip(names, inputs, strict=True)), {"output": part(*inputs)})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda *values: session.run(None, dict(zip(names, values, strict=True)))[0]


def film(rows: int = 240, columns: int = 300) -> np.ndarray:
    """Return a smooth image with some noise."""
    row, column = np.mgrid[:rows, :columns]
    grey = np.sin(row / 40) * np.cos(column / 50) + np.random.default_rng(4).normal(0, 0.05, (rows, columns))
    return (1000 + 400 * grey).astype(np.float32)


def with_(change: Callable[[np.ndarray], None]) -> np.ndarray:
    image = film()
    change(image)
    return image


def shutter(image: np.ndarray) -> None:
    image[:, :40] = image[-30:] = 0


def burnt(image: np.ndarray) -> None:
    image[:50] = 65535


def both(image: np.ndarray) -> None:
    shutter(image)
    image[:30, 60:] = 65535


def two_values(image: np.ndarray) -> None:
    image[:] = np.where(image > 1000, 4095, 0)


def without_numbers(image: np.ndarray) -> None:
    image[3:9] = np.nan
    image[20:30, 20:30] = np.inf
    image[40:50, 20:30] = -np.inf


def flat(image: np.ndarray) -> None:
    image[:] = 7


def nothing(image: np.ndarray) -> None:
    image[:] = np.nan


CHANGES = [lambda _: None, shutter, burnt, both, two_values, without_numbers, flat, nothing]


@pytest.fixture(scope="module", params=[None, 0.4], ids=["no gap", "gap"])
def scaling(request: pytest.FixtureRequest) -> tuple[ScaleFilmIntensity, Callable[..., np.ndarray]]:
    transform = ScaleFilmIntensity(0.5, 99.5, max_gap=request.param)
    return transform, compiled(lambda image: intensity.scaled(image, transform), 2)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_grey_values(
    change: Callable[[np.ndarray], None], scaling: tuple[ScaleFilmIntensity, Callable[..., np.ndarray]]
) -> None:
    transform, run = scaling
    image = with_(change)
    np.testing.assert_allclose(run(image), transform(torch.from_numpy(image)[None])[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("change", [CHANGES[0], shutter, both, two_values, flat], ids=lambda change: change.__name__)
def test_the_exposed_field(change: Callable[[np.ndarray], None]) -> None:
    image = ScaleFilmIntensity(0.5, 99.5)(torch.from_numpy(with_(change))[None])
    expected = exposed_field(image)
    found = compiled(intensity.exposed_field, 2)(image[0].numpy())
    assert found.tolist() == [expected.top, expected.left, expected.bottom, expected.right]


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.37, 7.1])
def test_resampling_with_an_area_filter(factor: float) -> None:
    turn = np.deg2rad(20)
    linear = factor * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, (30, 12.5)
    constant = geometry.constant(matrix)

    def part(image: ndx.Array) -> ndx.Array:
        small, to_small = geometry.shrink(image, constant)
        return geometry.sample(small[None, ...], to_small[None, ...], (60, 50))

    expected = resample(torch.from_numpy(film())[None], torch.from_numpy(matrix), (60, 50), antialias=True)
    # grey values of about 1000
    np.testing.assert_allclose(compiled(part, 2)(film()), expected.numpy(), atol=0.05)


def test_a_similarity_map_leaves_out_missing_points() -> None:
    generator = np.random.default_rng(2)
    model, weights = generator.normal(0, 50, (19, 2)), generator.random(19).astype(np.float32)
    found = (model @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * 2 + (3, 9) + generator.normal(0, 1, (19, 2))).astype(
        np.float32
    )
    found[4] = np.nan

    def part(points: ndx.Array, shares: ndx.Array) -> ndx.Array:
        matrix, enough = geometry.fit_similarity(
            geometry.constant(model), points.astype(ndx.float64), shares.astype(ndx.float64)
        )
        return ndx.where(enough, matrix, geometry.constant(0))

    run = compiled(part, 2, 1)
    expected = fit_similarity(
        torch.from_numpy(model), torch.from_numpy(found).double(), weights=torch.from_numpy(weights).double()
    )
    np.testing.assert_allclose(run(found, weights), expected.numpy(), atol=1e-9)
    found[1:] = np.nan
    assert not run(found, weights).any()
    # one place for all points: the map has no size, which PoseFinder.fit refuses
    found[:] = 5
    np.testing.assert_allclose(run(found, weights), [[0, 0, 5], [0, 0, 5], [0, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("missing", [(), (4,), (0, 1, 7, 18), tuple(range(16)), tuple(range(17))])
def test_expected_places(missing: tuple[int, ...]) -> None:
    """With two landmarks or none, nothing tells where the others are."""
    random = np.random.default_rng(5)
    mean, spread = random.normal(0, 50, (19, 2)), random.normal(0, 0.05, (60, 38))
    shape = ShapeModel(mean, np.cov(spread.T), 0.03)
    points = (3 * mean + (200, 300) + random.normal(0, 9, (19, 2))).astype(np.float32)
    points[list(missing)] = np.nan
    weights = random.random(19).astype(np.float32)

    def part(found: ndx.Array, shares: ndx.Array) -> ndx.Array:
        places, deviations = certainty.expected_places(found.astype(ndx.float64), shares.astype(ndx.float64), shape)
        return ndx.concat([places, deviations[:, None]], axis=1)

    expected, deviations = shape.spread(points.astype(np.float64), weights.astype(np.float64))
    assert np.isnan(expected).all() == np.isnan(deviations).all() == (len(missing) > 16)
    told = np.column_stack((expected, deviations))
    np.testing.assert_allclose(compiled(part, 2, 1)(points, weights), told, atol=1e-6)


@pytest.mark.parametrize(("threshold", "power"), [(0.5, 0), (0.1, 2)])
def test_decoding(threshold: float, power: float) -> None:
    decoder = HeatmapsToLandmarks("mean", threshold, min_peak=0.1, power=power)
    heatmaps = np.random.default_rng(1).random((4, 30, 40)).astype(np.float32)
    heatmaps[1] *= 0.05
    heatmaps[2] = 0
    heatmaps[3, 5, 5] = np.nan
    found = compiled(lambda maps: decoding.mean_points(maps, decoder)[0], 3)(heatmaps)
    np.testing.assert_allclose(found, decoder(torch.from_numpy(heatmaps)).numpy(), atol=1e-4)
