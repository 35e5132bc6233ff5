"""The paper's bins of ages at their borders."""

import math

import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.sources.ages import AGE_BINS, age_bin, decade


def test_age_bin_borders() -> None:
    bins = age_bin([0, 19, 20, 39, 40, 59, 60, 116])
    expected = ["0-19", "0-19", "20-39", "20-39", "40-59", "40-59", "60+", "60+"]
    assert list(bins) == expected
    assert bins.ordered
    assert list(bins.categories) == list(AGE_BINS)


def test_age_bin_keeps_empty_bins() -> None:
    assert pd.Series(age_bin([3])).value_counts().to_dict() == {
        "0-19": 1,
        "20-39": 0,
        "40-59": 0,
        "60+": 0,
    }
    assert list(age_bin([]).categories) == list(AGE_BINS)


@pytest.mark.parametrize("age", [-1, math.nan, math.inf])
def test_impossible_ages_are_an_error(age: float) -> None:
    for sort in (age_bin, decade):
        with pytest.raises(DataError, match=r"1 of 2 ages"):
            sort([20, age])


def test_decades_begin_at_their_tens_and_go_to_sixty_nine_at_least() -> None:
    found = decade([0, 9, 10, 69, 9.9])
    assert list(found) == ["0-9", "0-9", "10-19", "60-69", "0-9"]
    assert list(found.categories) == [f"{low}-{low + 9}" for low in range(0, 70, 10)]
    assert found.ordered
    assert list(decade([]).categories) == list(found.categories)
    assert list(decade([70, 116]).categories)[-5:] == [
        *("70-79", "80-89", "90-99", "100-109", "110-119")
    ]
