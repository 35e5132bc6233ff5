"""Comparisons of two settings, against loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation.comparison import compare
from contrastive_age.evaluation.confidence import (
    mae_interval,
)
from contrastive_age.evaluation.seeds import average_over_seeds
from evaluation.people import made_up, table

# identity, and the errors of four seeds in halves of a year, which sum exactly
rows = st.lists(
    st.tuples(st.sampled_from("abcde"), *[st.integers(-20, 20).map(lambda x: x / 2)] * 4),
    min_size=1,
    max_size=25,
)


@settings(max_examples=20)
@given(rows)
def test_compare_agrees_with_a_loop(drawn: list[Any]) -> None:
    seeds = [table([row[0] for row in drawn], [row[s] for row in drawn]) for s in (1, 2, 3, 4)]
    # two seeds against two, so that halves are averaged exactly
    found = compare(seeds[:2], [seeds[2].iloc[::-1], seeds[3]])
    by_subject: dict[str, list[float]] = {}
    for identity, first, second, third, fourth in drawn:
        gain = (abs(first) + abs(second)) / 2 - (abs(third) + abs(fourth)) / 2
        by_subject.setdefault(identity, []).append(gain)
    pooled = [gain for gains in by_subject.values() for gain in gains]
    assert found.difference == pytest.approx(sum(pooled) / len(pooled))
    assert found.improved == sum(sum(gains) < 0 for gains in by_subject.values())
    assert found.worsened == sum(sum(gains) > 0 for gains in by_subject.values())
    assert (found.subjects, found.n) == (len(by_subject), len(drawn))
    assert (found.interval is None) == (len(by_subject) < 4)


def test_difference_is_that_of_the_pooled_maes() -> None:
    rng = np.random.default_rng(1)
    reference = made_up(rng, 25)
    better = reference.assign(predicted_age=reference["age"] + rng.normal(0, 1, len(reference)))
    found = compare(better, reference)
    maes = [(side["predicted_age"] - side["age"]).abs().mean() for side in (better, reference)]
    assert found.difference == pytest.approx(maes[0] - maes[1])
    assert found.difference < 0
    assert found.interval is not None
    assert found.interval.low < found.difference < found.interval.high < 0
    back = compare(reference, better)
    assert (back.improved, back.worsened) == (found.worsened, found.improved)
    assert back.difference == pytest.approx(-found.difference)


def test_pairing_sees_a_small_gain_that_hides_in_the_spread_of_subjects() -> None:
    rng = np.random.default_rng(5)
    reference = made_up(rng, 40, spread=5.0)
    better = reference.assign(predicted_age=reference["predicted_age"] - 0.1)
    paired = compare(better, reference).interval
    alone = mae_interval(reference)
    assert paired is not None
    assert alone is not None
    assert paired.high < 0
    assert alone.high - alone.low > 10 * (paired.high - paired.low)


def test_a_setting_against_itself_differs_in_nothing() -> None:
    rng = np.random.default_rng(2)
    whole = made_up(rng, 10).assign(age=0)
    seeds = [whole.assign(predicted_age=rng.random(len(whole))) for _ in range(3)]
    # sums of three in another order differ by rounding
    turned = seeds[::-1]
    sums = [average_over_seeds(side)["absolute_error"] for side in (seeds, turned)]
    assert (sums[0] != sums[1]).any()
    for found in (compare(seeds, turned), compare(turned, seeds)):
        assert found.difference == pytest.approx(0.0, abs=1e-12)
        assert (found.improved, found.worsened, found.subjects) == (0, 0, 10)


def test_comparison_of_one_subject_has_no_interval() -> None:
    found = compare(table(["a", "a"], [1.0, 2.0]), table(["a", "a"], [2.0, 3.0]))
    assert found.interval is None
    assert (found.difference, found.improved, found.worsened, found.n) == (-1.0, 1, 0, 2)


def test_sides_with_other_samples_are_an_error_that_counts_them() -> None:
    whole = table(list("abcdefgh"), [1.0] * 8)
    with pytest.raises(DataError, match=r"reference do not hold the same .* 3 are in one of them"):
        compare(whole.iloc[1:], whole.iloc[:6])
    with pytest.raises(DataError, match=r"6 are in .*\(s002, s003, s004, s005, s006, \.\.\.\)"):
        compare(whole, whole.iloc[:2])


@pytest.mark.parametrize(("column", "value"), [("age", 31), ("identity", "z")])
def test_sides_that_disagree_about_labels_are_an_error(column: str, value: Any) -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    other = whole.copy()
    other.loc[1, column] = value
    with pytest.raises(DataError, match=rf"disagree about the {column} of 1 samples \(s001\)"):
        compare(whole, other)
