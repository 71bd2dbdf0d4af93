from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.inferers import Certainty, ErrorModel
from monai_ceph.inferers.evidence import FEATURES, ShapeModel, landmark_evidence
from monai_ceph.inferers.windows import Windows

SQUARE = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
RADIUS = 200.0
SIDE = 81


def gaussian(centre: tuple[float, float], sd: float, height: float) -> torch.Tensor:
    steps = torch.arange(float(SIDE))
    squared = (steps[:, None] - centre[0]) ** 2 + (steps[None] - centre[1]) ** 2
    return height * torch.exp(-squared / (2 * sd**2))


def evidence(heatmap: torch.Tensor, place: tuple[float, float] = (40.0, 40.0), **changes: Any) -> dict[str, float]:
    """The evidence for one landmark at the centre of its window, whose guide and expected place agree with it."""
    point = torch.tensor([place], dtype=torch.float64)
    given = {"guide": point, "guide_peaks": torch.ones(1), "expected": point.numpy(), "radius": RADIUS, **changes}
    windows = Windows(heatmap[None], torch.zeros(1, 2, dtype=torch.int64))
    return dict(zip(FEATURES, landmark_evidence(windows, point, **given)[0].tolist(), strict=True))


def model(**changes: Any) -> dict[str, Any]:
    """An error model of four landmarks at the corners of a square, which move independently."""
    return {
        "features": list(FEATURES),
        "slopes": [0.5, 0.0, 1.0, 0.0, 0.0, 0.2],
        "scales": [0.01, 0.02, 0.03, 0.04],
        "usual": [0.0, 0.1, 0.2, 0.3],
        "within_90": [2.0] * 4,
        "within_95": [3.0] * 4,
        "hidden": {"bias": -3.0, "slopes": [1.0, 0, 0, 0, 0, 0]},
        "head_radius_mm": 46.0,
        "shift": np.zeros((4, 6)).tolist(),
        "shape_limit": 99.0,
        "shape_noise": 0.03,
        "shape_covariance": (0.01 * np.eye(8)).tolist(),
        **changes,
    }


def certainty(heatmaps: torch.Tensor, points: torch.Tensor, **changes: Any) -> Certainty:
    windows = Windows(heatmaps, torch.zeros(len(heatmaps), 2, dtype=torch.int64))
    return ErrorModel(SQUARE.tolist(), model(**changes))(windows, points, points, torch.ones(len(points)), RADIUS)


def test_the_evidence_of_a_sharp_lone_maximum() -> None:
    found = evidence(gaussian((40, 40), 5, 0.8))
    assert found["peak"] == pytest.approx(-math.log(0.8), abs=1e-6)
    assert found["guide_peak"] == 0
    # a Gaussian in the plane has a root mean square distance of sqrt(2) standard deviations; its foot is cut off
    assert found["spread"] == pytest.approx(math.log(math.sqrt(2) * 5 / RADIUS), abs=0.06)
    # at a tenth of the head's radius, 20 px, it is exp(-8)
    assert found["second"] == pytest.approx(0, abs=4e-4)
    assert found["guide"] == found["shape"] == pytest.approx(math.log(0.01))


def test_doubt_shows_in_the_feature_that_stands_for_it() -> None:
    sure = evidence(gaussian((40, 40), 5, 0.8))
    for feature, heatmap, changes in (
        ("peak", gaussian((40, 40), 5, 0.2), {}),
        ("spread", gaussian((40, 40), 9, 0.8), {}),
        ("second", gaussian((40, 40), 5, 0.8) + gaussian((70, 40), 5, 0.4), {}),
        ("guide", gaussian((40, 40), 5, 0.8), {"guide": torch.tensor([[50.0, 40.0]], dtype=torch.float64)}),
        ("shape", gaussian((40, 40), 5, 0.8), {"expected": np.array([[40.0, 50.0]])}),
        ("guide_peak", gaussian((40, 40), 5, 0.8), {"guide_peaks": torch.tensor([0.5])}),
    ):
        assert evidence(heatmap, **changes)[feature] > sure[feature] + 0.1, feature
    second = evidence(gaussian((40, 40), 5, 0.8) + gaussian((70, 40), 5, 0.4))["second"]
    assert second == pytest.approx(0.5, abs=0.01)
    apart = evidence(gaussian((40, 40), 5, 0.8), guide=torch.tensor([[50.0, 40.0]], dtype=torch.float64))["guide"]
    assert apart == pytest.approx(math.log(10 / RADIUS + 0.01))


def test_a_heatmap_of_zeros_gives_finite_numbers_for_the_heatmap_and_none_for_the_place() -> None:
    point = torch.full((1, 2), math.nan, dtype=torch.float64)
    windows = Windows(torch.zeros(1, SIDE, SIDE), torch.zeros(1, 2, dtype=torch.int64))
    found = landmark_evidence(windows, point, point, torch.zeros(1), point.numpy(), RADIUS)[0]
    assert np.isfinite(found[:4]).all()
    assert np.isnan(found[4:]).all()


@given(
    turn=st.floats(-math.pi, math.pi),
    size=st.floats(0.1, 100),
    shift=st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
    gone=st.sampled_from([None, 0, 3]),
)
def test_a_head_of_the_mean_shape_is_expected_where_it_is(
    turn: float, size: float, shift: tuple[float, float], gone: int | None
) -> None:
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    places = size * SQUARE @ rotation.T + np.array(shift)
    points = places.copy()
    if gone is not None:
        points[gone] = np.nan
    expected = ShapeModel(SQUARE, 0.01 * np.eye(8), 0.03).expected(points, np.ones(4))
    assert expected == pytest.approx(places, abs=1e-6 * (size + 1000))


def test_a_landmark_is_expected_where_those_that_move_with_it_tell() -> None:
    mean = np.array([[0.0, 0], [0, 2], [2, 0], [2, 2], [1, 4]])
    # the rows of the last two move together
    covariance = 1e-4 * np.eye(10)
    covariance[6, 8] = covariance[8, 6] = 0.9e-4
    shape = ShapeModel(mean, covariance, 0.0)
    radius = math.sqrt(((mean - mean.mean(axis=0)) ** 2).sum(axis=1).mean())
    points = mean.copy()
    points[3, 0] += 0.01 * radius
    # the fit of the mean shape takes part of the shift, the same for both
    still = shape.expected(mean, np.array([1.0, 1, 1, 1e-9, 1e-9]))
    moved = shape.expected(points, np.array([1.0, 1, 1, 1e-9, 1e-9]))
    assert (moved - still)[4] == pytest.approx([0.9 * 0.01 * radius, 0], abs=1e-6)
    assert (moved - still)[:3] == pytest.approx(np.zeros((3, 2)), abs=1e-6)


def test_two_landmarks_tell_nothing() -> None:
    points = SQUARE.copy()
    points[:2] = np.nan
    assert np.isnan(ShapeModel(SQUARE, 0.01 * np.eye(8), 0.03).expected(points, np.ones(4))).all()


LIMITS = (7.0, 7.2)


@pytest.mark.parametrize("limit", LIMITS)
def test_radii_of_a_point_too_far_from_where_the_others_tell_reach_that_place(limit: float) -> None:
    points = torch.from_numpy(20 + 20 * SQUARE)
    heatmaps = torch.stack([gaussian((20.0, 20.0), 5, 0.8)] * 4)
    points[3] += torch.tensor([60.0, 0.0])
    plain, checked = (certainty(heatmaps, points, shape_limit=each) for each in (99.0, limit))
    # half of its 60 pixels, because it turns and stretches the square that is fitted
    apart = float(np.linalg.norm(points[3].numpy() - checked.expected[3]))
    assert apart == pytest.approx(30)
    # landmarks that move independently have the standard deviation of the model, whatever the others are
    expected, deviations = ErrorModel(SQUARE.tolist(), model()).shape.spread(points.numpy(), np.ones(4))
    assert expected == pytest.approx(checked.expected)
    radius = float(np.linalg.norm(expected[0] - expected.mean(axis=0)))
    assert deviations == pytest.approx(np.full(4, radius * math.sqrt(0.01 + 0.03**2)))
    too_far = apart > limit * deviations[3]
    assert too_far == (limit == LIMITS[0])
    assert (checked.radii[:3] == plain.radii[:3]).all()
    if too_far:
        assert checked.radii[3] == pytest.approx([apart, apart])
        assert (plain.radii[3] < apart).all()
    else:
        assert (checked.radii[3] == plain.radii[3]).all()


def test_hidden_landmarks_do_not_tell_where_the_others_are() -> None:
    points = torch.from_numpy(20 + 20 * SQUARE)
    wrong = points.clone()
    wrong[3] += torch.tensor([60.0, 0.0])
    # the last one has a low maximum
    heatmaps = torch.stack([gaussian((20.0, 20.0), 5, height) for height in (0.8, 0.8, 0.8, 0.02)])
    found, right = (certainty(heatmaps, each) for each in (wrong, points))
    assert found.hidden.tolist() == [False, False, False, True]
    assert found.expected == pytest.approx(right.expected)


def test_radii_by_hand() -> None:
    points = torch.from_numpy(20 + 20 * SQUARE)
    heatmaps = torch.stack([gaussian(tuple(point), 5, 0.8) for point in points.tolist()])
    found = certainty(heatmaps, points, slopes=[0.5, 0, 0, 0, 0, 0])
    size = np.array([0.01, 0.02, 0.03, 0.04]) * 0.8**-0.5
    assert found.radii == pytest.approx(RADIUS * size[:, None] * [2, 3])
    usual = np.array([0.01, 0.02, 0.03, 0.04]) * np.exp([0, 0.1, 0.2, 0.3])
    assert found.typical == pytest.approx(RADIUS * usual[:, None] * [2, 3])
    assert not found.hidden.any()
    assert (found.head_radius, found.middle_mm_per_pixel) == (RADIUS, pytest.approx(46 / RADIUS))


def test_the_evidence_of_surer_networks_is_shifted() -> None:
    points = torch.from_numpy(20 + 20 * SQUARE)
    heatmaps = torch.stack([gaussian(tuple(point), 5, 0.8) for point in points.tolist()])
    shift = np.zeros((4, 6))
    shift[1, 0] = 2.0
    plain, shifted = certainty(heatmaps, points), certainty(heatmaps, points, shift=shift.tolist())
    # a slope of 0.5
    assert shifted.radii / plain.radii == pytest.approx(np.array([1, math.e, 1, 1])[:, None] * [1, 1])


@given(st.integers(0, 5), st.floats(0, 5))
def test_more_doubt_never_gives_a_smaller_radius(feature: int, more: float) -> None:
    whole = ErrorModel(SQUARE.tolist(), model())
    doubt = np.zeros((4, len(FEATURES)))
    doubt[:, feature] = more
    assert (doubt @ whole.slopes >= 0).all()


def test_a_faint_landmark_is_hidden_and_one_without_a_maximum_has_no_radius() -> None:
    points = torch.from_numpy(20 + 20 * SQUARE)
    points[3] = math.nan
    heights = (0.8, 0.8, math.exp(-3.1), 0.0)
    heatmaps = torch.stack([gaussian((40, 40), 5, height) for height in heights])
    found = certainty(heatmaps, points)
    assert found.hidden.tolist() == [False, False, True, False]
    assert np.isinf(found.radii[3]).all()
    assert np.isfinite(found.radii[:3]).all()
    # two do not tell where to look, three do
    assert np.isnan(found.expected).all()
    heatmaps[2] = heatmaps[0]
    assert certainty(heatmaps, points).expected[3] == pytest.approx([60, 60])


def test_lengths_and_places_in_pixels_of_the_source() -> None:
    points = torch.from_numpy(20 + 20 * SQUARE)
    heatmaps = torch.stack([gaussian(tuple(point), 5, 0.8) for point in points.tolist()])
    found = certainty(heatmaps, points)
    affine = torch.tensor([[0.0, -2, 7], [2, 0, 9], [0, 0, 1]], dtype=torch.float64)
    there = found.on_source(affine)
    assert there.radii == pytest.approx(2 * found.radii)
    assert there.typical == pytest.approx(2 * found.typical)
    assert there.head_radius == pytest.approx(2 * RADIUS)
    assert there.middle_mm_per_pixel == pytest.approx(46 / (2 * RADIUS))
    assert there.expected == pytest.approx(found.expected @ np.array([[0, 2], [-2, 0]]) + [7, 9])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["peak"]}, "must have the features peak, guide_peak"),
        ({"scales": [1.0, 2.0]}, "scales of the error model must be 4 numbers"),
        ({"within_90": [1.0, 1.0, math.nan, 1.0]}, "within_90 of the error model must be 4 numbers"),
        ({"shift": [[0.0] * 6]}, "shift of the error model must be 4 x 6 numbers"),
        ({"shape_covariance": [[1.0]]}, "the covariance must be 8 x 8"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ErrorModel(SQUARE.tolist(), model(**changes))


def test_a_model_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValueError, match="the error model lacks hidden, usual"):
        ErrorModel(SQUARE.tolist(), {key: value for key, value in model().items() if key not in ("hidden", "usual")})


def test_the_shipped_model_is_of_the_shipped_weights_alone() -> None:
    files = {stage: weights.path(stage) for stage in weights.STAGES}
    shipped = weights.error_model(files)
    assert shipped is not None
    assert (np.array(shipped["slopes"]) >= 0).all()
    assert (np.array(shipped["hidden"]["slopes"]) >= 0).all()
    assert (np.array(shipped["within_95"]) >= np.array(shipped["within_90"])).all()
    ErrorModel(weights.mean_shape(), shipped)
    assert weights.error_model({**files, "context": None}) is None
    assert weights.error_model({**files, "local": "runs/local/final.pt"}) is None
    assert weights.error_model(files, ("S", "N")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "No such file or directory"), ("{", "not JSON, so not an error model"), ("[]", "it must be an object")],
)
def test_a_file_that_is_no_error_model_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "errors.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CephError, match=message) as caught:
        weights.read_error_model(file)
    assert str(file) in str(caught.value)
