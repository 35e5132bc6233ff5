"""Metrics against explicit loops, and what happens at the edges."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation.metrics import (
    check_predictions,
    cumulative_score,
    no_better,
    picked_on_test,
    signed_errors,
    summarise,
)

Row = tuple[str, int, int, float]

rows = st.lists(
    st.tuples(
        st.sampled_from(["001", "002", "003", "004"]),
        st.integers(0, 3),
        st.integers(0, 116),
        # Halves make errors that fall exactly on a tolerance, the case where < and <= differ.
        st.integers(-10, 240).map(lambda halves: halves / 2),
    ),
    min_size=1,
    max_size=40,
)


def table(rows: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["identity", "fold", "age", "predicted_age"])
    frame.insert(0, "sample_id", [f"s{row:03d}" for row in range(len(rows))])
    frame["predicted_std"] = 2.5
    return frame


def loop_mean(values: list[float]) -> float:
    return sum(values) / len(values)


@given(rows)
def test_summarise_agrees_with_loops(rows: list[Row]) -> None:
    metrics = summarise(table(rows), mae_constant=9.71)
    sizes = [abs(predicted - age) for _, _, age, predicted in rows]
    assert metrics["mae"] == pytest.approx(loop_mean(sizes))
    assert metrics["bias"] == pytest.approx(loop_mean([p - age for _, _, age, p in rows]))
    assert metrics["mae_constant"] == 9.71

    by_subject: dict[str, list[float]] = {}
    by_fold: dict[str, list[float]] = {}
    for (identity, fold, _, _), size in zip(rows, sizes, strict=True):
        by_subject.setdefault(identity, []).append(size)
        by_fold.setdefault(str(fold), []).append(size)
    subject_maes = [loop_mean(part) for part in by_subject.values()]
    fold_maes = {fold: loop_mean(part) for fold, part in by_fold.items()}
    assert metrics["mae_by_subject"] == pytest.approx(loop_mean(subject_maes))
    by_age: dict[int, list[float]] = {}
    for _, _, age, predicted in rows:
        by_age.setdefault(age, []).append(abs(predicted - age))
    assert metrics["mae_by_age"] == pytest.approx(loop_mean(list(map(loop_mean, by_age.values()))))
    assert metrics["fold_mae"]["values"] == pytest.approx(fold_maes)
    mean = loop_mean(list(fold_maes.values()))
    assert metrics["fold_mae"]["mean"] == pytest.approx(mean)
    if len(fold_maes) > 1:
        squares = sum((value - mean) ** 2 for value in fold_maes.values())
        spread = math.sqrt(squares / (len(fold_maes) - 1))
        assert metrics["fold_mae"]["std"] == pytest.approx(spread)
    assert (metrics["n"], metrics["folds"], metrics["subjects"]) == (
        len(rows),
        len(by_fold),
        len(by_subject),
    )


@given(rows)
def test_cumulative_score_agrees_with_a_loop(rows: list[Row]) -> None:
    metrics = summarise(table(rows), mae_constant=1.0)
    assert list(metrics["cs"]) == [str(years) for years in range(1, 11)]
    for years in range(1, 11):
        within = 0
        for _, _, age, predicted in rows:
            if abs(predicted - age) <= years:
                within += 1
        assert metrics["cs"][str(years)] == pytest.approx(100 * within / len(rows))
    assert metrics["cs5"] == metrics["cs"]["5"]


@given(rows)
def test_age_bins_agree_with_a_loop(rows: list[Row]) -> None:
    metrics = summarise(table(rows), mae_constant=1.0)
    parts: dict[str, list[float]] = {"0-19": [], "20-39": [], "40-59": [], "60+": []}
    for _, _, age, predicted in rows:
        if age <= 19:
            parts["0-19"].append(predicted - age)
        elif age <= 39:
            parts["20-39"].append(predicted - age)
        elif age <= 59:
            parts["40-59"].append(predicted - age)
        else:
            parts["60+"].append(predicted - age)
    assert list(metrics["age_bins"]) == list(parts)
    for name, part in parts.items():
        expected: dict[str, Any] = {"n": 0, "mae": None, "bias": None}
        if part:
            size = loop_mean([abs(error) for error in part])
            expected = {"n": len(part), "mae": size, "bias": loop_mean(part)}
        assert metrics["age_bins"][name] == pytest.approx(expected)


@given(rows)
def test_summary_does_not_depend_on_the_order_or_index_of_rows(rows: list[Row]) -> None:
    frame = table(rows)
    turned = frame.iloc[::-1].set_index(pd.Index([7] * len(frame)))
    straight, reverse = summarise(frame, 1.0), summarise(turned, 1.0)
    assert reverse["cs"] == straight["cs"]
    assert reverse["mae_by_subject"] == pytest.approx(straight["mae_by_subject"])
    assert reverse["fold_mae"]["values"] == pytest.approx(straight["fold_mae"]["values"])
    for name, values in straight["age_bins"].items():
        assert reverse["age_bins"][name] == pytest.approx(values)


@given(rows)
def test_summary_survives_json(rows: list[Row]) -> None:
    metrics = summarise(table(rows), mae_constant=9.71)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_one_image() -> None:
    metrics = summarise(table([("001", 0, 30, 34.0)]), mae_constant=2.0)
    assert (metrics["mae"], metrics["mae_by_subject"], metrics["bias"]) == (4.0, 4.0, 4.0)
    assert (metrics["cs"]["3"], metrics["cs"]["4"], metrics["cs5"]) == (0.0, 100.0, 100.0)
    assert metrics["age_bins"]["60+"] == {"n": 0, "mae": None, "bias": None}
    assert metrics["fold_mae"] == {"mean": 4.0, "std": None, "values": {"0": 4.0}}


def test_subjects_with_many_images_do_not_weigh_more_in_the_subject_average() -> None:
    metrics = summarise(table([("001", 0, 30, 31.0)] * 3 + [("002", 0, 30, 35.0)]), 9.0)
    assert metrics["mae"] == pytest.approx(2.0)
    assert metrics["mae_by_subject"] == pytest.approx(3.0)


def test_no_predictions_is_an_error() -> None:
    with pytest.raises(DataError, match="no predictions"):
        summarise(table([("001", 0, 30, 31.0)]).iloc[:0], 9.0)


def test_a_constant_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        summarise(table([("001", 0, 30, 31.0)]), math.nan)


def test_a_prediction_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ValueError, match="NaN"):
        summarise(table([("001", 0, 30, math.nan)]), 9.0)


def test_signed_errors_are_predicted_minus_true() -> None:
    frame = table([("001", 0, 30, 31.5), ("001", 0, 30, 28.0)])
    assert signed_errors(frame).tolist() == [1.5, -2.0]


def test_cumulative_score_takes_any_thresholds_and_includes_them() -> None:
    scores = cumulative_score([-1.0, 2.0, 5.0, 10.0], [5, 0, 4.99, 20])
    assert scores.tolist() == [75.0, 0.0, 50.0, 100.0]
    assert scores.dtype == np.float64


def test_cumulative_score_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        cumulative_score([], [5])


def test_the_cumulative_score_rises_from_1_to_10_years(predictions: pd.DataFrame) -> None:
    predictions = predictions.assign(predicted_age=predictions["age"] + np.linspace(-12, 12, 12))
    scores = summarise(predictions, 9.0)["cs"]
    assert list(scores) == [str(years) for years in range(1, 11)]
    assert list(scores.values()) == sorted(scores.values())


def folds_of(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[["sample_id", "identity", "age", "fold"]].copy()


@pytest.fixture
def predictions() -> pd.DataFrame:
    return table([(f"{row:03d}", row % 3, 20 + row, 21.0 + row) for row in range(12)])


def test_complete_predictions_pass_in_any_order(predictions: pd.DataFrame) -> None:
    check_predictions(predictions, folds_of(predictions))
    check_predictions(predictions.iloc[::-1], folds_of(predictions))


def test_missing_predictions_are_counted_and_the_first_named(predictions: pd.DataFrame) -> None:
    with pytest.raises(DataError) as caught:
        check_predictions(predictions.iloc[7:], folds_of(predictions))
    message = str(caught.value)
    assert "7 without a prediction (s000, s001, s002, s003, s004, ...)" in message
    assert "12 samples" in message
    assert "more than once" not in message


def test_nothing_predicted_is_told_like_the_rest(predictions: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="12 without a prediction"):
        check_predictions(predictions.iloc[:0], folds_of(predictions))


def test_unknown_samples_are_told(predictions: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"2 predicted but in no fold \(s000, s001\)"):
        check_predictions(predictions, folds_of(predictions).iloc[2:])


def test_repeated_samples_are_told(predictions: pd.DataFrame) -> None:
    twice = pd.concat([predictions, predictions.iloc[[3, 3]]])
    with pytest.raises(DataError, match=r"1 predicted more than once \(s003\)"):
        check_predictions(twice, folds_of(predictions))


def test_another_fold_is_told(predictions: pd.DataFrame) -> None:
    wrong = predictions.assign(fold=predictions["fold"].replace(2, 1))
    with pytest.raises(DataError, match=r"4 predicted in another fold .*\(s002, s005"):
        check_predictions(wrong, folds_of(predictions))


def test_another_age_is_told(predictions: pd.DataFrame) -> None:
    folds = folds_of(predictions)
    folds.loc[4, "age"] = 70
    with pytest.raises(DataError, match=r"1 with another age than in the folds \(s004\)"):
        check_predictions(predictions, folds)


@pytest.mark.parametrize("column", ["predicted_age", "predicted_std"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_told(
    predictions: pd.DataFrame, column: str, value: float
) -> None:
    predictions.loc[5, column] = value
    with pytest.raises(DataError, match=r"1 with a prediction that is not finite \(s005\)"):
        check_predictions(predictions, folds_of(predictions))


def test_all_complaints_stand_in_one_message(predictions: pd.DataFrame) -> None:
    broken = pd.concat([predictions.iloc[1:], predictions.iloc[[4]]], ignore_index=True)
    broken.loc[0, "predicted_age"] = math.nan
    with pytest.raises(DataError) as caught:
        check_predictions(broken, folds_of(predictions))
    for part in ("1 without", "1 predicted more than once (s004)", "not finite (s001)"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("mae", "interval", "words"),
    [
        (8.0, None, ""),
        (8.0, [-3.0, -0.1], ""),
        (8.0, [-3.0, 0.1], "cannot be told from a constant: train longer"),
        (9.5, [-1.0, 2.0], "cannot be told from a constant: train longer"),
        (9.5, [0.1, 0.9], "worse than a constant: train longer"),
        (9.5, None, "worse than a constant: train longer"),
    ],
)
def test_errors_that_a_constant_has_are_said(
    mae: float, interval: list[float] | None, words: str
) -> None:
    said = {"mae": mae, "mae_constant": 9.0, "constant_interval": interval}
    assert no_better(said) == words


def test_picking_on_test_takes_each_folds_smallest_error_over_all_images() -> None:
    errors = [[5.0, 3.0, 4.0], [2.0, 6.0]]
    histories = [pd.DataFrame({"epoch": range(len(own)), "test_mae": own}) for own in errors]
    assert picked_on_test(histories, [30, 10]) == pytest.approx((30 * 3 + 10 * 2) / 40)


def test_nothing_is_claimed_where_a_fold_was_not_watched() -> None:
    histories = [pd.DataFrame({"test_mae": [2.0]}), pd.DataFrame({"epoch": [1]})]
    assert picked_on_test(histories, [3, 3]) is None
