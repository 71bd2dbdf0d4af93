"""What holds for every style of another machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from style_views import SPACING, phantom, view

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.transforms import styles
from monai_ceph.transforms.geometry import affine_of
from monai_ceph.transforms.styles import PART_STYLES, STYLES, RandStyle, RandStyled

SEEDS = range(6)
# what is drawn on the film, and not computed from it
DRAWN = (*(name for name in PART_STYLES if name != "faded_rods"), "tracing", "writing")


def drawn(name: str, seed: int) -> torch.Tensor:
    film, landmarks = phantom()
    return STYLES[name]().set_random_state(seed)(film, landmarks, SPACING)


def dictionary_form(name: str) -> type[RandStyled]:
    found = getattr(styles, f"{STYLES[name].__name__}d")
    assert issubclass(found, RandStyled)
    return found


@pytest.mark.parametrize("name", STYLES)
class TestEveryStyle:
    def test_only_grey_values_change_and_stay_in_their_range(self, name: str) -> None:
        before, _ = phantom()
        for seed in SEEDS:
            film = drawn(name, seed)
            assert film.shape == before.shape
            assert film.dtype == torch.float32
            assert film.min() >= 0
            assert film.max() <= 1
            assert torch.equal(affine_of(film), affine_of(before))
            assert film.meta["name"] == "x"

    def test_a_seed_determines_the_draw(self, name: str) -> None:
        films = [drawn(name, seed) for seed in SEEDS]
        assert torch.equal(films[0], drawn(name, 0))
        assert len({film.numpy().tobytes() for film in films}) > 3

    def test_films_and_landmarks_are_not_written_into(self, name: str) -> None:
        film, landmarks = phantom()
        copies = film.clone(), landmarks.clone()
        STYLES[name]().set_random_state(1)(film, landmarks, SPACING)
        assert torch.equal(film, copies[0])
        assert torch.equal(landmarks, copies[1])

    def test_probability_0_leaves_the_film_as_it_is(self, name: str) -> None:
        film, landmarks = phantom()
        # not within 0..1, so that clipping would show
        film = film * 1.5 - 0.2
        assert torch.equal(STYLES[name](prob=0.0).set_random_state(1)(film, landmarks, SPACING), film)

    def test_the_dictionary_form_draws_the_same_for_each_film(self, name: str) -> None:
        film, landmarks = phantom()
        data: dict[str, Any] = {"image": film, "other": film.clone(), "landmarks": landmarks, "pixel_spacing": SPACING}
        result = dictionary_form(name)(["image", "other"], "landmarks").set_random_state(4)(data)
        assert torch.equal(result["image"], drawn(name, 4))
        assert torch.equal(result["image"], result["other"])
        assert torch.equal(result["landmarks"], landmarks)

    def test_films_without_known_landmarks(self, name: str) -> None:
        film, landmarks = phantom()
        for seed in SEEDS:
            found = STYLES[name]().set_random_state(seed)(film, landmarks * torch.nan, SPACING)
            assert 0 <= found.min() <= found.max() <= 1
            assert not found.isnan().any()

    def test_a_patch_far_from_the_head(self, name: str) -> None:
        """Landmarks that lie outside of a patch, also those that another transform removed."""
        film, landmarks = phantom()
        landmarks[3] = -1e6
        found = STYLES[name]().set_random_state(1)(film[:, :40, :40], landmarks + 5000, SPACING)
        assert found.shape == (1, 40, 40)
        assert not found.isnan().any()

    def test_it_can_be_given_by_its_name_and_has_all_aliases(self, name: str) -> None:
        base = STYLES[name].__name__
        assert issubclass(STYLES[name], RandStyle)
        assert getattr(styles, f"{base}D") is getattr(styles, f"{base}Dict") is getattr(styles, f"{base}d")
        assert "no inverse" in (RandStyle.__doc__ or "")


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "collimator"])
def test_no_landmark_is_hidden(name: str) -> None:
    """Around each landmark, at least 30 % of the difference between black and white are left. Porion may be covered."""
    here = view(zoom=2.0)
    for seed in range(25):
        change = STYLES[name].draw(here, np.random.RandomState(seed))
        black, white = (change(np.full(here.size, grey, np.float32)) for grey in (0.0, 1.0))
        left = white - black
        for symbol, point in here.points.items():
            row, column = np.rint(point).astype(int)
            around = left[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            if symbol != "Po" or name != "ear_rods":
                # lines and letters are thinner than what they cross
                assert np.mean(around) >= 0.3, (name, seed, symbol)


@pytest.mark.parametrize("name", [name for name in PART_STYLES if name not in ("faded_rods", "ruler", "wedge")])
def test_sizes_in_millimetres_do_not_depend_on_the_grid(name: str) -> None:
    """Drawn on a grid that is twice as fine, and averaged, a style is the same."""
    agreements = []
    for seed in range(12):
        coarse, fine = view(), view(zoom=2.0)
        once = STYLES[name].draw(coarse, np.random.RandomState(seed))(np.full(coarse.size, 0.3, np.float32))
        twice = STYLES[name].draw(fine, np.random.RandomState(seed))(np.full(fine.size, 0.3, np.float32))
        averaged = twice.reshape(coarse.size[0], 2, coarse.size[1], 2).mean(axis=(1, 3))
        if once.std() > 1e-4:
            agreements.append(np.corrcoef(once.ravel(), averaged.ravel())[0, 1])
    assert len(agreements) > 8
    assert np.median(agreements) > 0.95


def test_spacing_is_0_1_where_the_data_have_none() -> None:
    film, landmarks = phantom()
    ears = styles.RandEarRodsd("image", "landmarks")
    expected = STYLES["ear_rods"]().set_random_state(2)(film, landmarks)
    for unknown in ({}, {"pixel_spacing": float("nan")}, {"pixel_spacing": torch.tensor(0.1)}):
        found = ears.set_random_state(2)({"image": film, "landmarks": landmarks, **unknown})["image"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_as_many_symbols_as_landmarks() -> None:
    film, landmarks = phantom()
    with pytest.raises(ValueError, match="symbols: 2 for 19 landmarks"):
        STYLES["ruler"](symbols=SYMBOLS[:2])(film, landmarks)
