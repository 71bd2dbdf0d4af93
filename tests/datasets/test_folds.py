from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_ceph.datasets import split_fold
from monai_ceph.errors import DatasetError


@given(count=st.integers(2, 60), folds=st.integers(2, 8), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_folds_are_disjoint_complete_and_of_equal_size(count: int, folds: int, seed: int) -> None:
    folds = min(folds, count)
    films = [f"film {index}" for index in range(count)]
    held_out = []
    for fold in range(folds):
        train, validate = split_fold(films, fold, folds, seed)
        assert not set(train) & set(validate)
        assert sorted(train + validate) == sorted(films)
        # in the order of the dataset
        assert train == [film for film in films if film in train]
        assert len(validate) in (count // folds, -(-count // folds))
        held_out += validate
    assert sorted(held_out) == sorted(films)


def test_the_seed_determines_the_folds() -> None:
    films = list(range(40))
    assert split_fold(films, 1, 4, 5) == split_fold(films, 1, 4, 5)
    assert split_fold(films, 1, 4, 5) != split_fold(films, 1, 4, 6)
    # the same on every machine and in every release
    assert split_fold(list(range(10)), 0, 5, 0)[1] == [2, 8]


def test_without_a_fold_every_film_trains() -> None:
    films = list(range(10))
    train, validate = split_fold(films, None, 5, 0)
    assert train == films
    assert validate == split_fold(films, 0, 5, 0)[1]


@pytest.mark.parametrize(("fold", "folds"), [(0, 1), (0, 4), (-1, 2), (2, 2)])
def test_invalid_folds_are_refused(fold: int, folds: int) -> None:
    with pytest.raises(DatasetError, match="fold"):
        split_fold([1, 2, 3], fold, folds, 0)
