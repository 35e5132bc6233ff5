"""Seeds laid side by side, against loops."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation.comparison import compare
from contrastive_age.evaluation.confidence import (
    mae_interval,
)
from contrastive_age.evaluation.seeds import align_seeds, average_over_seeds, match_samples
from evaluation.people import table

# identity, and the errors of four seeds in halves of a year, which sum exactly
rows = st.lists(
    st.tuples(st.sampled_from("abcde"), *[st.integers(-20, 20).map(lambda x: x / 2)] * 4),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25)
@given(rows, st.randoms())
def test_average_over_seeds_agrees_with_a_loop(drawn: list[Any], random: Any) -> None:
    seeds = [table([row[0] for row in drawn], [row[s] for row in drawn]) for s in (1, 2, 3)]
    order = list(range(len(drawn)))
    random.shuffle(order)
    averaged = average_over_seeds([seeds[0], seeds[1].iloc[order], seeds[2].iloc[::-1]])
    assert averaged["sample_id"].tolist() == seeds[0]["sample_id"].tolist()
    assert averaged["identity"].tolist() == [row[0] for row in drawn]
    for place, (_, first, second, third, _) in enumerate(drawn):
        size = (abs(first) + abs(second) + abs(third)) / 3
        assert averaged["absolute_error"][place] == pytest.approx(size)
        assert averaged["error"][place] == pytest.approx((first + second + third) / 3)


def test_seeds_that_err_on_both_sides_do_not_cancel() -> None:
    seeds = [table(["a", "b"], [3.0, 1.0]), table(["a", "b"], [-3.0, 1.0])]
    averaged = average_over_seeds(seeds)
    assert averaged["absolute_error"].tolist() == [3.0, 1.0]
    assert averaged["error"].tolist() == [0.0, 1.0]


def test_seeds_with_other_samples_are_an_error() -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"two seeds do not hold the same samples: 1 are"):
        mae_interval([whole, whole.iloc[:2]])


def test_a_sample_that_is_there_twice_is_an_error() -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"1 samples stand in one of them more than once \(s000\)"):
        compare({0: whole}, {0: pd.concat([whole, whole.iloc[[0, 0]]])})


def test_aligned_seeds_are_in_the_order_of_the_first() -> None:
    whole = table(list("abcd"), [1.0, 2.0, 3.0, 4.0])
    aligned = align_seeds([whole.iloc[[2, 0, 1, 3]], whole.iloc[::-1]])
    for seed in aligned:
        assert seed["sample_id"].tolist() == ["s002", "s000", "s001", "s003"]
        assert seed["predicted_age"].tolist() == [33.0, 31.0, 32.0, 34.0]
        assert seed.index.tolist() == [0, 1, 2, 3]


def test_matched_rows_point_at_the_same_sample() -> None:
    first, second = pd.Series(["b", "a", "c"]), pd.Series(["c", "b", "a"], index=[4, 4, 4])
    assert match_samples(first, second, "they").tolist() == [1, 2, 0]
