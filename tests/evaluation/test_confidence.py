"""Bootstrap intervals and paired comparisons against loops that draw every image."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation import confidence
from contrastive_age.evaluation.confidence import (
    Interval,
    mae_interval,
    mean_interval,
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


def test_interval_agrees_with_a_loop_that_draws_subjects_image_by_image() -> None:
    predictions = made_up(np.random.default_rng(3), 12)
    by_subject: dict[str, list[float]] = {}
    for row in predictions.itertuples():
        by_subject.setdefault(row.identity, []).append(abs(row.predicted_age - row.age))
    names = sorted(by_subject)
    draws = np.random.default_rng(7).integers(0, len(names), (150, len(names)))
    means = []
    for draw in draws:
        sizes = [size for place in draw for size in by_subject[names[place]]]
        means.append(sum(sizes) / len(sizes))
    found = mae_interval(predictions, level=0.9, resamples=150, seed=7)
    assert found is not None
    assert found.low == pytest.approx(np.quantile(means, 0.05))
    assert found.high == pytest.approx(np.quantile(means, 0.95))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    predictions = made_up(np.random.default_rng(0), 20)
    assert mae_interval(predictions, seed=4) == mae_interval(predictions, seed=4)
    assert mae_interval(predictions, seed=4) != mae_interval(predictions, seed=5)


def test_interval_does_not_depend_on_the_order_or_index_of_rows() -> None:
    predictions = made_up(np.random.default_rng(0), 20)
    turned = predictions.sample(frac=1, random_state=1)
    turned.index = pd.Index([5] * len(turned))
    straight, reverse = mae_interval(predictions), mae_interval(turned)
    assert straight is not None
    assert reverse is not None
    assert (reverse.low, reverse.high) == pytest.approx((straight.low, straight.high))


def test_interval_does_not_depend_on_the_size_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = made_up(np.random.default_rng(0), 15)
    whole = mae_interval(predictions, resamples=101)
    for at_once in (1, 15 * 7, 15 * 50):
        monkeypatch.setattr(confidence, "_DRAWN_AT_ONCE", at_once)
        assert mae_interval(predictions, resamples=101) == whole


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


def test_interval_holds_the_true_mae_at_about_its_level_though_images_of_a_subject_agree() -> None:
    # with images drawn and not subjects, 115 of the same 200 intervals held it
    rng = np.random.default_rng(20)
    held = 0
    # the mean of the exponential parts is 2.5 years
    for _ in range(200):
        predictions = made_up(rng, 50)
        sizes = predictions["predicted_age"] - predictions["age"]
        found = mean_interval(predictions["identity"], sizes, resamples=200)
        assert found is not None
        held += found.low <= 2.5 <= found.high
    assert 0.9 <= held / 200 <= 0.98


def test_one_subject_has_no_interval() -> None:
    assert mae_interval(table(["a"], [3.0])) is None
    assert mae_interval(table(["a"] * 5, [3.0, 1, 2, 5, 0])) is None


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
    assert mae_interval(table(["a", "b", "b"], [2.0, -2.0, 2.0])) == Interval(2.0, 2.0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, math.nan])
def test_a_level_that_is_no_probability_is_an_error(level: float) -> None:
    with pytest.raises(ValueError, match="no interval of level"):
        mae_interval(table(["a", "b"], [1.0, 2.0]), level)


def test_no_resamples_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 resamples"):
        mae_interval(table(["a", "b"], [1.0, 2.0]), resamples=0)


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
    assert found == mean_interval(averaged["identity"], averaged["absolute_error"])
    assert found != mae_interval(first)
    maes = [(seed["predicted_age"] - seed["age"]).abs().mean() for seed in (first, second)]
    assert averaged["absolute_error"].mean() == pytest.approx(sum(maes) / 2)


def test_one_table_and_a_list_of_it_are_the_same() -> None:
    predictions = made_up(np.random.default_rng(0), 10)
    assert mae_interval([predictions]) == mae_interval(predictions)
    pd.testing.assert_frame_equal(
        average_over_seeds([predictions, predictions]), average_over_seeds(predictions)
    )
