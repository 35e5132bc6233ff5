"""Intervals over subjects against their definitions, and how often they hold what they should."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks import intervals
from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import (
    FEWEST_SUBJECTS,
    Interval,
    cs_intervals,
    ends,
    mae_interval,
    mae_intervals_by_fold,
    mean_ends,
    mean_interval,
    share_ends,
    share_interval,
    without_leaks,
)
from contrastive_age.evaluation.seeds import average_over_seeds
from evaluation.people import made_up, table

# identity, and the errors of four seeds in halves of a year, which sum exactly
rows = st.lists(
    st.tuples(st.sampled_from("abcde"), *[st.integers(-20, 20).map(lambda x: x / 2)] * 4),
    min_size=1,
    max_size=25,
)


def formula(predictions: pd.DataFrame, level: float) -> tuple[float, float]:
    """The interval by its matrices, as Bell and McCaffrey write it, image by image."""
    sizes = (predictions["predicted_age"] - predictions["age"]).abs().to_numpy()
    subject = predictions["identity"].to_numpy()
    n = len(sizes)
    residual_maker = np.eye(n) - 1.0 / n
    residuals = residual_maker @ sizes
    variance, vectors = 0.0, []
    for name in sorted(set(subject)):
        own = subject == name
        values, basis = np.linalg.eigh(residual_maker[np.ix_(own, own)])
        weights = np.ones(own.sum()) @ basis @ np.diag(values**-0.5) @ basis.T / n
        variance += (weights @ residuals[own]) ** 2
        vectors.append(residual_maker[:, own] @ weights)
    covariance = np.array(vectors) @ np.array(vectors).T
    freedom = np.trace(covariance) ** 2 / (covariance**2).sum()
    half = stats.t.ppf((1 + level) / 2, freedom) * math.sqrt(variance)
    return sizes.mean() - half, sizes.mean() + half


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_agrees_with_the_matrices_of_its_definition(level: float) -> None:
    predictions = made_up(np.random.default_rng(3), 12)
    found = mae_interval(predictions, level)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(formula(predictions, level))


def test_as_many_images_each_make_the_ordinary_t_interval_of_subjects() -> None:
    means = [1.0, 2, 3, 4, 8]
    found = mae_interval(table([*"abcde"] * 3, means * 3))
    assert found is not None
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 4, np.mean(means), stats.sem(means))
    )


def test_interval_does_not_depend_on_the_order_or_index_of_rows() -> None:
    predictions = made_up(np.random.default_rng(0), 20)
    turned = predictions.sample(frac=1, random_state=1)
    turned.index = pd.Index([5] * len(turned))
    straight, reverse = mae_interval(predictions), mae_interval(turned)
    assert straight is not None
    assert reverse is not None
    assert (reverse.low, reverse.high) == pytest.approx((straight.low, straight.high))


def test_a_higher_level_is_wider_and_both_hold_the_mae() -> None:
    predictions = made_up(np.random.default_rng(0), 30)
    mae = float((predictions["predicted_age"] - predictions["age"]).abs().mean())
    narrow, wide = (mae_interval(predictions, level) for level in (0.8, 0.99))
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < mae < narrow.high < wide.high


def test_repeating_each_image_narrows_nothing() -> None:
    single = table(list("abcdefgh"), [1.0, 2, 3, 4, 5, 6, 7, 8])
    repeated = pd.concat([single.assign(sample_id=single["sample_id"] + tag) for tag in "123"])
    assert mae_interval(repeated) == mae_interval(single)


@pytest.mark.parametrize("subjects", [4, 8, 16])
@pytest.mark.parametrize("images", [*intervals.IMAGES][:2])
def test_interval_holds_the_true_mae_of_skewed_errors_of_few_subjects(
    images: str, subjects: int
) -> None:
    rng = np.random.default_rng(0)
    counts = intervals.IMAGES[images](rng, (4000, subjects))
    sums = intervals.absolute_errors(counts, rng)
    held = intervals.held(mean_ends(sums, counts), intervals.MEAN)
    assert 0.89 < held < 0.96
    # subjects drawn with replacement held far less
    assert intervals.held(intervals.bootstrap_ends(sums, counts, rng), intervals.MEAN) < held - 0.02


@pytest.mark.parametrize("share", intervals.SHARES)
@pytest.mark.parametrize("subjects", [4, 16, 82])
def test_interval_of_a_share_holds_it_near_none_and_all(share: float, subjects: int) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(6, 19, (4000, subjects))
    low, high = share_ends(intervals.images_held(counts, share, rng), counts)
    assert ((low >= 0) & (high <= 1) & (low < high)).all()
    assert intervals.held((low, high), share) > 0.94


def test_share_of_independent_images_is_that_of_clopper_and_pearson() -> None:
    held = np.arange(40) < 7
    found = share_interval(np.arange(40), held)
    assert found is not None
    # the variance of a share is estimated with n - 1, so that 39 of the 40 images count
    ends_of_39 = [stats.beta.ppf(0.025, 6.825, 33.175), stats.beta.ppf(0.975, 7.825, 32.175)]
    assert (found.low, found.high) == pytest.approx(tuple(100 * end for end in ends_of_39))


@pytest.mark.parametrize(("value", "expected"), [(0.0, (0, 36.94)), (1.0, (63.06, 100))])
def test_a_share_of_none_or_all_is_bounded_by_the_number_of_subjects(
    value: float, expected: tuple[float, float]
) -> None:
    found = share_interval([*"abcdefgh"] * 9, [value] * 72)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(expected, abs=0.01)


def test_a_share_of_some_bounds_no_tighter_than_one_of_none_or_all() -> None:
    identity = np.arange(60) % 6
    order = np.random.default_rng(0).permutation(60)
    found = [share_interval(identity, np.isin(np.arange(60), order[:n])) for n in range(61)]
    both = [(interval.low, interval.high) for interval in found if interval]
    assert len(both) == 61
    assert min(high for _, high in both) == pytest.approx(both[0][1])
    assert max(low for low, _ in both) == pytest.approx(both[-1][0])
    assert all(low <= 100 * n / 60 <= high for n, (low, high) in enumerate(both))


@settings(max_examples=40)
@given(rows)
def test_scores_and_folds_have_the_intervals_of_their_images(drawn: list[Any]) -> None:
    predictions = table([name for name, *_ in drawn], [error for _, error, *_ in drawn])
    sizes = (predictions["predicted_age"] - predictions["age"]).abs()
    few = predictions["identity"].nunique() < FEWEST_SUBJECTS
    for years, found in cs_intervals(predictions).items():
        held = sizes <= int(years)
        assert found == ends(share_interval(predictions["identity"], held))
        assert (found is None) == few
        assert found is None or found[0] <= 100 * held.mean() <= found[1]
    assert mae_intervals_by_fold(predictions) == {
        str(fold): ends(mae_interval(part)) for fold, part in predictions.groupby("fold")
    }


def test_scores_of_several_seeds_are_averaged_image_by_image() -> None:
    first = made_up(np.random.default_rng(1), 25)
    second = first.assign(predicted_age=first["age"] + 6.0)
    held = ((first["predicted_age"] - first["age"]).abs() <= 5) / 2
    both = cs_intervals([first, second.iloc[::-1]])
    assert both["5"] == ends(share_interval(first["identity"], held))
    assert cs_intervals([first, first]) == cs_intervals(first)


@pytest.mark.parametrize("names", ["a", "aaaaa", "ab", "abcabc"])
def test_fewer_than_four_subjects_have_no_interval(names: str) -> None:
    predictions = table([*names], [3.0, 1, 2, 5, 0, 4][: len(names)])
    assert mae_interval(predictions) is None
    assert set(cs_intervals(predictions).values()) == {None}
    assert set(mae_intervals_by_fold(predictions).values()) == {None}
    assert mae_interval(table([*names, *"xyz"], [1.0] * (len(names) + 3))) is not None


def test_no_error_is_below_zero_and_other_means_may_be() -> None:
    errors = [0.1, 0.2, 0.1, 30.0]
    found, free = mae_interval(table([*"abcd"], errors)), mean_interval([*"abcd"], errors)
    assert found is not None
    assert free is not None
    assert found.low == 0 > free.low
    assert free.high == pytest.approx(found.high)


def test_the_error_without_what_leaks_is_that_of_the_rest() -> None:
    predictions = made_up(np.random.default_rng(3), subjects=30)
    leaking = predictions["sample_id"][::3].tolist()
    rest = predictions[~predictions["sample_id"].isin(leaking)]
    found = without_leaks(predictions, leaking)
    interval = mae_interval(rest)
    assert interval is not None
    assert found == {
        "n": len(rest),
        "leaked_images": len(leaking),
        "mae": pytest.approx((rest["predicted_age"] - rest["age"]).abs().mean()),
        "mae_interval": [interval.low, interval.high],
    }


def test_nothing_is_said_of_no_images() -> None:
    predictions = table(["a", "b"], [1.0, 2.0])
    assert without_leaks(predictions, predictions["sample_id"].tolist()) == {
        "n": 0,
        "leaked_images": 2,
        "mae": None,
        "mae_interval": None,
    }
    assert without_leaks(predictions, ["s000"]) == {
        "n": 1,
        "leaked_images": 1,
        "mae": 2.0,
        "mae_interval": None,
    }


def test_subjects_that_are_all_alike_have_an_interval_without_width() -> None:
    assert mae_interval(table([*"abbcd"], [2.0, -2, 2, 2, 2])) == Interval(2.0, 2.0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, math.nan])
def test_a_level_that_is_no_probability_is_an_error(level: float) -> None:
    with pytest.raises(ValueError, match="no interval of level"):
        mae_interval(table(["a", "b"], [1.0, 2.0]), level)


@pytest.mark.parametrize("predictions", [[], table([], [])])
def test_no_predictions_is_an_error(predictions: Any) -> None:
    with pytest.raises(DataError, match="no predictions"):
        mae_interval(predictions)


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_is_an_error(error: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        mae_interval(table(["a", "b"], [1.0, error]))


def test_interval_of_several_seeds_is_that_of_the_mean_of_their_maes() -> None:
    rng = np.random.default_rng(1)
    first = made_up(rng, 25)
    second = first.assign(predicted_age=first["age"] + rng.normal(0, 3, len(first)))
    averaged = average_over_seeds([first, second])
    found = mae_interval([first, second.iloc[::-1]])
    assert found == mean_interval(averaged["identity"], averaged["absolute_error"], least=0.0)
    assert found != mae_interval(first)
    maes = [(seed["predicted_age"] - seed["age"]).abs().mean() for seed in (first, second)]
    assert averaged["absolute_error"].mean() == pytest.approx(sum(maes) / 2)


def test_one_table_and_a_list_of_it_are_the_same() -> None:
    predictions = made_up(np.random.default_rng(0), 10)
    assert mae_interval([predictions]) == mae_interval(predictions)
    pd.testing.assert_frame_equal(
        average_over_seeds([predictions, predictions]), average_over_seeds(predictions)
    )
