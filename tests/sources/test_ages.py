"""The paper's bins of ages at their borders."""

import math

import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.sources.ages import AGE_BINS, age_bin


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
    with pytest.raises(DataError, match=r"1 of 2 ages"):
        age_bin([20, age])
