from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from style_views import SPACING, phantom

from monai_ceph.transforms.geometry import affine_of
from monai_ceph.transforms.styles import (
    PART_STYLES,
    PROCESSING_STYLES,
    STYLES,
    RandMachineStyle,
    RandMachineStyleD,
    RandMachineStyled,
    RandMachineStyleDict,
)


def chosen(seeds: int = 60, **options: Any) -> list[list[str]]:
    film, landmarks = phantom()
    result = []
    for seed in range(seeds):
        machine = RandMachineStyle(**{"prob": 1.0, **options}).set_random_state(seed)
        machine(film, landmarks, SPACING)
        result.append(machine.chosen)
    return result


def test_every_style_comes_before_or_after_the_film_curve() -> None:
    assert (*PART_STYLES, *PROCESSING_STYLES) == tuple(STYLES)
    assert "collimator" in PART_STYLES
    assert "edge_enhancement" in PROCESSING_STYLES
    assert RandMachineStyleD is RandMachineStyleDict is RandMachineStyled


def test_one_to_three_styles_in_the_order_in_which_they_arise() -> None:
    draws = chosen(max_count=3)
    counts = Counter(len(names) for names in draws)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 8
    for names in draws:
        assert names == [name for name in STYLES if name in names]


def test_all_styles_are_drawn() -> None:
    assert {name for names in chosen(150) for name in names} == set(STYLES)


def test_left_out_styles_are_not_drawn() -> None:
    draws = chosen(styles=PART_STYLES, exclude=["ear_rods", "scatter"])
    assert {name for names in draws for name in names} == set(PART_STYLES) - {"ear_rods"}


def test_none_left() -> None:
    film, landmarks = phantom()
    assert chosen(3, styles=["ruler"], exclude=["ruler"]) == [[], [], []]
    machine = RandMachineStyle(1.0, styles=["ruler"], exclude=["ruler"])
    assert torch.equal(machine(film, landmarks, SPACING), film)


def test_styles_that_a_patch_cannot_show_take_no_part() -> None:
    film, landmarks = phantom()
    # the forehead's corner of the film
    machine = RandMachineStyle(1.0, 3, styles=["ear_rods", "chin_rest", "dental_work"]).set_random_state(0)
    corner = film[:, :20, :20]
    assert torch.equal(machine(corner, landmarks, SPACING), corner)
    assert machine.chosen == []


def test_probability() -> None:
    drawn = chosen(200, prob=0.3)
    assert 35 < sum(bool(names) for names in drawn) < 85
    film, landmarks = phantom()
    film = film * 1.5 - 0.2
    assert torch.equal(RandMachineStyle(0.0)(film, landmarks, SPACING), film)


def test_range_and_geometry() -> None:
    before, landmarks = phantom()
    for seed in range(20):
        film = RandMachineStyle(1.0).set_random_state(seed)(before, landmarks, SPACING)
        assert 0 <= film.min() <= film.max() <= 1
        assert film.dtype == torch.float32
        assert torch.equal(affine_of(film), affine_of(before))


def test_the_dictionary_form_follows_the_seed_of_a_compose() -> None:
    film, landmarks = phantom()
    data = {"image": film, "other": film.clone(), "landmarks": landmarks, "pixel_spacing": SPACING, "name": "x"}
    chain = Compose([RandMachineStyled(["image", "other"], "landmarks", 1.0)])
    first, second = (chain.set_random_state(seed)(data) for seed in (5, 5))
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["image"], first["other"])
    assert not torch.equal(first["image"], chain.set_random_state(6)(data)["image"])
    assert torch.equal(first["landmarks"], landmarks)
    assert first["name"] == "x"
    assert np.array_equal(data["image"], film)


def test_data_without_a_film_stay_as_they_are() -> None:
    data = {"landmarks": phantom()[1]}
    assert RandMachineStyled("image", "landmarks", 1.0, allow_missing_keys=True)(data) == data
    with pytest.raises(KeyError, match="image"):
        RandMachineStyled("image", "landmarks", 1.0)(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"styles": ["ear_rod"]}, "no such style: ear_rod. There are faded_rods, dental_work"),
        ({"exclude": ["rulers"]}, "no such style: rulers"),
        ({"max_count": 0}, "max_count must be positive, got 0"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandMachineStyle(1.0, **options)
