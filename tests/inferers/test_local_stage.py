from __future__ import annotations

from typing import Any

import pytest

from monai_ceph.inferers import ExpansiveExplorationInferer, SharedWindowsInferer, local_inferer


def inferer(**changes: Any) -> ExpansiveExplorationInferer | SharedWindowsInferer:
    shipped = {
        "patch_size": 80,
        "expansion": 1.8,
        "arrangement": "corners-and-centre",
        "batch_size": 19,
        "margin": 21,
        "shared_pixels": True,
        "guide_sd": 40,
        "shifts": [0, 8],
    }
    return local_inferer(**(shipped | changes))


def test_one_key_switches_between_patches_and_shared_pixels() -> None:
    shared, patches = inferer(), inferer(shared_pixels=False, shifts=[0], batch_size=7)
    assert isinstance(shared, SharedWindowsInferer)
    assert isinstance(patches, ExpansiveExplorationInferer)
    for each in (shared, patches):
        assert (each.side, each.margin, each.guide_sd) == (144, 21, 40)
    assert shared.shifts == (0, 8)
    assert (patches.patch_size, patches.batch_size, len(patches.offsets)) == (80, 7, 5)


def test_one_patch_instead_of_the_square() -> None:
    assert inferer(patch_size=100, arrangement="centre").side == 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shared_pixels": "false"}, "shared_pixels must be True or False, got 'false'"),
        ({"shared_pixels": False}, r"shifts must be \[0\] without shared_pixels, got \[0, 8\]"),
        ({"shared_pixels": False, "shifts": []}, "shifts must be"),
        ({"patch_size": 80.5}, "patch_size must be a whole number of at least 1, got 80.5"),
        ({"batch_size": 0}, "batch_size"),
        ({"margin": -1}, "margin must be a whole number of at least 0"),
        ({"expansion": 9}, "expansion"),
        ({"guide_sd": 0}, "guide_sd"),
        ({"shifts": [-8]}, "shifts"),
    ],
)
def test_refuses_values_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inferer(**changes)
