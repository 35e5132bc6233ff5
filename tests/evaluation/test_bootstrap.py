"""Bootstrap intervals and paired comparisons against loops that draw every image."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation import bootstrap
from contrastive_age.evaluation.bootstrap import (
    Interval,
    align_seeds,
    average_over_seeds,
    compare,
    mae_interval,
    match_samples,
    mean_interval,
    without_leaks,
)


def table(identities: list[str], errors: list[float]) -> pd.DataFrame:
    n = len(identities)
    return pd.DataFrame(
        {
            "sample_id": [f"s{row:03d}" for row in range(n)],
            "identity": identities,
            "fold": [row % 2 for row in range(n)],
            "age": [30] * n,
            "predicted_age": [30.0 + error for error in errors],
            "predicted_std": 2.0,
        }
    )


def made_up(rng: np.random.Generator, subjects: int, spread: float = 2.0) -> pd.DataFrame:
    """Subjects with 1 to 9 images whose errors share the subject's own part."""
    images = rng.integers(1, 10, subjects)
    identity = np.repeat([f"p{number:03d}" for number in range(subjects)], images)
    own = np.repeat(rng.exponential(spread, subjects), images)
    return table(identity.tolist(), (own + rng.exponential(0.5, len(identity))).tolist())


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
        monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", at_once)
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


@settings(max_examples=20)
@given(rows)
def test_compare_agrees_with_a_loop(drawn: list[Any]) -> None:
    seeds = [table([row[0] for row in drawn], [row[s] for row in drawn]) for s in (1, 2, 3, 4)]
    # two seeds against two, so that halves are averaged exactly
    found = compare(seeds[:2], [seeds[2].iloc[::-1], seeds[3]], resamples=5)
    by_subject: dict[str, list[float]] = {}
    for identity, first, second, third, fourth in drawn:
        gain = (abs(first) + abs(second)) / 2 - (abs(third) + abs(fourth)) / 2
        by_subject.setdefault(identity, []).append(gain)
    pooled = [gain for gains in by_subject.values() for gain in gains]
    assert found.difference == pytest.approx(sum(pooled) / len(pooled))
    assert found.improved == sum(sum(gains) < 0 for gains in by_subject.values())
    assert found.worsened == sum(sum(gains) > 0 for gains in by_subject.values())
    assert (found.subjects, found.n) == (len(by_subject), len(drawn))
    assert (found.interval is None) == (len(by_subject) == 1)


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


def test_seeds_with_other_samples_are_an_error() -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"two seeds do not hold the same samples: 1 are"):
        mae_interval([whole, whole.iloc[:2]])


def test_a_sample_that_is_there_twice_is_an_error() -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"1 samples stand in one of them more than once \(s000\)"):
        compare(whole, pd.concat([whole, whole.iloc[[0, 0]]]))


@pytest.mark.parametrize(("column", "value"), [("age", 31), ("identity", "z")])
def test_sides_that_disagree_about_labels_are_an_error(column: str, value: Any) -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    other = whole.copy()
    other.loc[1, column] = value
    with pytest.raises(DataError, match=rf"disagree about the {column} of 1 samples \(s001\)"):
        compare(whole, other)


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
