from __future__ import annotations

import numpy as np
import pytest
import torch
from style_views import phantom, view

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.transforms.geometry import affine_of
from monai_ceph.transforms.styles.view import View, view_of


def of(points: dict[str, tuple[float, float]]) -> View:
    landmarks = torch.tensor(list(points.values()), dtype=torch.float64)
    return view_of((100, 80), torch.eye(3), landmarks, list(points), 0.5)


def test_millimetres_follow_the_affine() -> None:
    """A quarter of the source's pixels, of 0.5 mm each: 0.5 pixels per mm."""
    landmarks = torch.tensor([[40.0, 20.0]])
    found = view_of((100, 80), torch.diag(torch.tensor([4.0, 4.0, 1.0])), landmarks, ["Po"], 0.5)
    assert found.per_mm == pytest.approx(0.5)
    np.testing.assert_allclose(found.points["Po"], [10, 5])


def test_the_front_is_from_porion_to_orbitale() -> None:
    found = of({"Po": (50, 10), "Or": (50, 60), "Me": (90, 50), "S": (30, 30)})
    np.testing.assert_allclose(found.anterior, [0, 1], atol=1e-12)
    np.testing.assert_allclose(found.inferior, [1, 0], atol=1e-12)
    np.testing.assert_allclose(found.at("Po", 10, 3), [56, 30])


def test_a_head_that_faces_left() -> None:
    found = of({"Po": (50, 60), "Or": (50, 10), "Me": (90, 20), "S": (30, 40)})
    np.testing.assert_allclose(found.anterior, [0, -1], atol=1e-12)
    np.testing.assert_allclose(found.inferior, [1, 0], atol=1e-12)


@pytest.mark.parametrize("hidden", [(), ("Po",), ("Po", "S"), ("Or", "N", "PNS")])
def test_the_axes_of_a_phantom_whichever_landmarks_are_known(hidden: tuple[str, ...]) -> None:
    film, landmarks = phantom()
    for symbol in hidden:
        landmarks[SYMBOLS.index(symbol)] = torch.nan
    found = view_of((300, 242), affine_of(film), landmarks, SYMBOLS, 0.8)
    assert found.points.keys() == set(SYMBOLS) - set(hidden)
    for axis, expected in ((found.anterior, view().anterior), (found.inferior, view().inferior)):
        assert axis @ axis == pytest.approx(1)
        # within 15 degrees
        assert axis @ expected > 0.966


def test_no_landmark_at_all() -> None:
    found = of({"Po": (float("nan"), 3.0)})
    assert not found.points
    assert not found.sees("Po", 1000)
    np.testing.assert_allclose(found.anterior, [0, 1])


def test_what_is_near_the_grid_is_seen() -> None:
    found = of({"Po": (50, 10), "Or": (50, 60), "N": (-20, 70)})
    assert found.sees("N", 10.5)
    assert not found.sees("N", 9.5)
    assert found.sees("Po", 0)
