"""Tests of the age classes."""

import numpy as np
import pytest

from contrastive_age.errors import DataError
from contrastive_age.model.ages import AgeClasses


def test_classes_are_every_year_between_the_bounds():
    classes = AgeClasses(16, 77)
    assert classes.number == 62
    assert classes.values.tolist() == [float(age) for age in range(16, 78)]
    assert classes.index(np.array([77, 16, 20])).tolist() == [61, 0, 4]


@pytest.mark.parametrize("age", [15, 78, -1])
def test_an_age_without_a_class_is_named(age):
    message = f"1 of 2 training ages .* 16..77, for example {age}"
    with pytest.raises(DataError, match=message):
        AgeClasses(16, 77).index(np.array([16, age]))


@pytest.mark.parametrize(("age_min", "age_max"), [(5, 5), (6, 5)])
def test_a_range_of_less_than_two_ages_is_refused(age_min, age_max):
    with pytest.raises(DataError, match=f"{age_min} to {age_max} hold no two classes"):
        AgeClasses(age_min, age_max)


@pytest.mark.parametrize(("age_min", "age_max"), [(-1, 5), (0, 121)])
def test_ages_that_nobody_has_are_refused(age_min, age_max):
    with pytest.raises(DataError, match=f"{age_min} to {age_max} are not between 0 and 120"):
        AgeClasses(age_min, age_max)
