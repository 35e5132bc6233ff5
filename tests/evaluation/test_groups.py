"""Errors by group and at age thresholds against explicit loops."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import mae_interval, share_interval
from contrastive_age.evaluation.groups import (
    age_thresholds,
    by_group,
    group_report,
    labels_digest,
    predicted_range,
    tail_words,
)

Row = tuple[str, int, float, str | None]

# identity, age, error, group
rows = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(0, 80),
        st.integers(-20, 20).map(lambda halves: halves / 2),
        st.sampled_from(["x", "y", "z", None]),
    ),
    min_size=1,
    max_size=25,
)


def table(drawn: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": [f"s{row:03d}" for row in range(len(drawn))],
            "identity": [identity for identity, _, _, _ in drawn],
            "fold": 0,
            "age": [age for _, age, _, _ in drawn],
            "predicted_age": [float(age + error) for _, age, error, _ in drawn],
        }
    )


@pytest.fixture
def drawn() -> list[Row]:
    rng = np.random.default_rng(0)
    return [
        (f"p{rng.integers(15)}", int(rng.integers(70)), float(rng.normal(0, 4)), group)
        for group in ["x", "y", "y", None] * 20
    ]


@settings(max_examples=8)
@given(rows)
def test_groups_agree_with_a_loop(drawn: list[Row]) -> None:
    found = by_group(table(drawn), pd.Series([group for *_, group in drawn]))
    parts: dict[str, list[Row]] = {}
    for row in drawn:
        parts.setdefault(row[3] or "unknown", []).append(row)
    order = [name for name in ("x", "y", "z", "unknown") if name in parts]
    assert [row["group"] for row in found] == order
    for row in found:
        part = parts[row["group"]]
        assert row["n"] == len(part)
        assert row["subjects"] == len({identity for identity, *_ in part})
        assert row["mae"] == pytest.approx(sum(abs(e) for _, _, e, _ in part) / len(part))
        assert row["bias"] == pytest.approx(sum(e for _, _, e, _ in part) / len(part))
        assert (row["mae_low"] is None) == (row["mae_high"] is None) == (row["subjects"] < 4)


def test_intervals_are_those_of_the_group_alone(drawn: list[Row]) -> None:
    predictions = table(drawn)
    groups = pd.Series([group for *_, group in drawn])
    found = {row["group"]: row for row in by_group(predictions, groups, 0.8)}
    for name in ("x", "y"):
        interval = mae_interval(predictions[(groups == name).to_numpy()], 0.8)
        assert interval is not None
        assert (found[name]["mae_low"], found[name]["mae_high"]) == (interval.low, interval.high)
        assert interval.low < found[name]["mae"] < interval.high


def test_groups_are_taken_by_position_whatever_the_index(drawn: list[Row]) -> None:
    groups = pd.Series([group for *_, group in drawn])
    shifted = groups.set_axis(range(100, 100 + len(groups)))
    turned = table(drawn).set_axis(range(len(drawn), 0, -1))
    expected = by_group(table(drawn), groups)
    assert by_group(turned, shifted) == expected
    assert by_group(turned, groups.to_numpy()) == expected


def test_unknown_is_last_and_other_values_are_text() -> None:
    predictions = table([("a", 30, 1.0, None)] * 4)
    found = by_group(predictions, np.array(["zoo", None, "bay", "unknown"], dtype=object))
    assert [(row["group"], row["n"]) for row in found] == [("bay", 1), ("zoo", 1), ("unknown", 2)]
    assert [row["group"] for row in by_group(predictions, [2, 10, 2, 2])] == ["10", "2"]


def test_categories_keep_their_order_and_empty_ones_are_listed() -> None:
    groups = pd.Categorical(["old", None, "old"], categories=["young", "old"], ordered=True)
    found = by_group(
        table([("a", 30, 1.0, None), ("b", 30, 2.0, None), ("c", 30, -2.0, None)]), groups
    )
    assert [row["group"] for row in found] == ["young", "old", "unknown"]
    assert found[0] == {
        "group": "young",
        "n": 0,
        "subjects": 0,
        "mae": None,
        "mae_low": None,
        "mae_high": None,
        "bias": None,
    }
    assert (found[1]["mae"], found[1]["bias"], found[1]["subjects"]) == (1.5, -0.5, 2)
    assert (found[2]["mae"], found[2]["mae_low"]) == (2.0, None)


def test_several_seeds_are_averaged(drawn: list[Row]) -> None:
    groups = pd.Series([group for *_, group in drawn])
    first, second = table(drawn), table([(i, a, -2 * e, g) for i, a, e, g in drawn])
    both = by_group([first, second.iloc[::-1]], groups)
    for single, row in zip(by_group(first, groups), both, strict=True):
        assert row["n"] == single["n"]
        assert row["mae"] == pytest.approx(1.5 * single["mae"])
        assert row["bias"] == pytest.approx(-0.5 * single["bias"])
        assert row["mae_low"] == pytest.approx(1.5 * single["mae_low"])


def test_a_group_too_few_is_an_error(drawn: list[Row]) -> None:
    with pytest.raises(ValueError, match="79 groups for 80 predictions"):
        by_group(table(drawn), ["x"] * 79)


def test_no_predictions_is_an_error() -> None:
    with pytest.raises(DataError, match="no predictions"):
        by_group(table([]), [])
    with pytest.raises(DataError, match="no predictions"):
        age_thresholds(table([]))


def samples_of(drawn: list[Row]) -> pd.DataFrame:
    frame = table(drawn)[["sample_id", "identity", "age"]]
    frame["sex"] = pd.Series([{"x": "F", "y": "M"}.get(g or "") for *_, g in drawn], dtype="str")
    return frame


def test_report_has_all_age_bins_and_what_the_samples_know(drawn: list[Row]) -> None:
    report = group_report(table(drawn), samples_of(drawn))
    assert list(report) == ["age_bin", "decade", "sex"]
    ages = [age for _, age, _, _ in drawn]
    counts = [sum(low <= age < low + 20 for age in ages) for low in (0, 20, 40)]
    counts.append(sum(age >= 60 for age in ages))
    assert [row["group"] for row in report["age_bin"]] == ["0-19", "20-39", "40-59", "60+"]
    assert [row["n"] for row in report["age_bin"]] == counts
    assert [(row["group"], row["n"]) for row in report["sex"]] == [
        ("F", 20),
        ("M", 40),
        ("unknown", 20),
    ]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_report_matches_samples_by_name_and_needs_no_more_than_the_predicted(
    drawn: list[Row],
) -> None:
    whole = group_report(table(drawn).iloc[:50], samples_of(drawn).iloc[:50])
    turned = samples_of(drawn).iloc[::-1].set_axis([0] * 80)
    assert group_report(table(drawn).iloc[:50], turned) == whole


def test_report_leaves_out_what_no_predicted_sample_has(drawn: list[Row]) -> None:
    samples = samples_of(drawn).assign(race=pd.Series([None] * 80, dtype="str"))
    samples.loc[79, "race"] = "Asian"
    assert list(group_report(table(drawn).iloc[:79], samples)) == ["age_bin", "decade", "sex"]
    report = group_report(table(drawn), samples)
    assert [(row["group"], row["n"]) for row in report["race"]] == [("Asian", 1), ("unknown", 79)]


def test_empty_age_bins_are_listed() -> None:
    drawn: list[Row] = [("a", 25, 1.0, None)]
    report = group_report(table(drawn), samples_of(drawn))
    assert [row["n"] for row in report["age_bin"]] == [0, 1, 0, 0]
    assert [row["n"] for row in report["decade"]] == [0, 0, 1, 0, 0, 0, 0]
    assert list(report) == ["age_bin", "decade"]
    assert group_report(table(drawn)) == report


def test_decades_go_on_to_the_oldest(drawn: list[Row]) -> None:
    old: Row = ("old", 93, -4.0, None)
    decades = group_report(table([*drawn, old]))["decade"]
    assert [row["group"] for row in decades] == [f"{low}-{low + 9}" for low in range(0, 100, 10)]
    for row, low in zip(decades, range(0, 100, 10), strict=True):
        part = [error for _, age, error, _ in [*drawn, old] if low <= age < low + 10]
        assert row["n"] == len(part)
        if part:
            assert row["mae"] == pytest.approx(sum(map(abs, part)) / len(part))
    assert (decades[-1]["bias"], decades[-1]["mae_low"]) == (-4.0, None)


@pytest.mark.parametrize(
    ("older", "of", "oldest", "said"),
    [
        (1, 99, 41, True),
        (1, 101, 41, False),
        (5, 99, 40, False),
        (1200, 3000, 69, True),
    ],
)
def test_the_tail_is_put_in_words_where_predictions_end_clearly_short(
    older: int, of: int, oldest: int, said: bool
) -> None:
    rest: Row = ("a", 36, 0.0, None)
    old: Row = ("b", oldest, -60.0, None)
    young = table([rest] * (of - older) + [old] * older)
    other = young.assign(predicted_age=young["predicted_age"] - 0.25)
    reached = predicted_range([young, other])
    assert reached == {
        "lowest": oldest - 60.25,
        "highest": 36.0,
        "oldest": oldest,
        "n": of,
        "older_n": older,
    }
    words = tail_words(reached)
    assert bool(words) == said
    if said:
        assert words == (
            f"No one is predicted above 36.0 years, though the people on {older:,} of {of:,} "
            f"images are older, up to {oldest} years."
        )
    assert tail_words(None) == ""


def test_labels_are_known_by_those_of_the_tested(drawn: list[Row]) -> None:
    samples = samples_of(drawn)
    tested = samples["sample_id"].iloc[:10]
    digest = labels_digest(samples, tested)
    assert labels_digest(samples.iloc[:10], tested) == digest
    assert labels_digest(samples.assign(sex="F"), tested) != digest
    assert labels_digest(samples, samples["sample_id"]) != digest


def test_predicted_samples_that_the_table_lacks_are_named(drawn: list[Row]) -> None:
    with pytest.raises(DataError, match=r"2 predicted samples are not .*\(s000, s001\)"):
        group_report(table(drawn), samples_of(drawn).iloc[2:])


@settings(max_examples=40)
@given(rows)
def test_thresholds_agree_with_a_loop(drawn: list[Row]) -> None:
    for row in age_thresholds(table(drawn), (18, 21, 25, 40)):
        limit = row["age"]
        under = [age + error for _, age, error, _ in drawn if age < limit]
        over = [age + error for _, age, error, _ in drawn if age >= limit]
        assert (row["under_n"], row["over_n"]) == (len(under), len(over))
        taken_for_over = sum(predicted >= limit for predicted in under)
        taken_for_under = sum(predicted < limit for predicted in over)
        assert row["under_predicted_over"] == (
            pytest.approx(100 * taken_for_over / len(under)) if under else None
        )
        assert row["over_predicted_under"] == (
            pytest.approx(100 * taken_for_under / len(over)) if over else None
        )


def test_threshold_itself_is_over_and_predictions_are_not_rounded() -> None:
    drawn: list[Row] = [("a", 17, 1.0, None), ("a", 17, 0.9, None), ("a", 18, -0.1, None)]
    row, *_ = age_thresholds(table(drawn))
    assert row == {
        "age": 18,
        "under_n": 2,
        "under_subjects": 1,
        "under_predicted_over": 50.0,
        "under_low": None,
        "under_high": None,
        "over_n": 1,
        "over_subjects": 1,
        "over_predicted_under": 100.0,
        "over_low": None,
        "over_high": None,
    }


def test_threshold_shares_have_the_intervals_of_their_seeds_together(drawn: list[Row]) -> None:
    first, second = table(drawn), table([(i, a, e - 3, g) for i, a, e, g in drawn])
    for row in age_thresholds([first, second.iloc[::-1]], level=0.9):
        under = first["age"] < row["age"]
        wrong = [(seed["predicted_age"] >= row["age"])[under] for seed in (first, second)]
        interval = share_interval(first["identity"][under], np.mean(wrong, axis=0), 0.9)
        assert interval is not None
        assert (row["under_low"], row["under_high"]) == (interval.low, interval.high)
        assert row["under_low"] <= row["under_predicted_over"] <= row["under_high"]
        over = ~under
        wrong = [(seed["predicted_age"] < row["age"])[over] for seed in (first, second)]
        interval = share_interval(first["identity"][over], np.mean(wrong, axis=0), 0.9)
        assert interval is not None
        assert (row["over_low"], row["over_high"]) == (interval.low, interval.high)
        assert row["over_subjects"] == first["identity"][over].nunique()


def test_default_thresholds_survive_json(drawn: list[Row]) -> None:
    found: list[dict[str, Any]] = age_thresholds(table(drawn))
    assert [row["age"] for row in found] == [18, 21, 25]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_threshold_shares_of_several_seeds_are_averaged() -> None:
    first: list[Row] = [("a", 17, 2.0, None), ("b", 16, 0.0, None)]
    second: list[Row] = [("a", 17, 2.0, None), ("b", 16, 5.0, None)]
    row, *_ = age_thresholds([table(first), table(second).iloc[::-1]])
    assert (row["under_n"], row["under_predicted_over"]) == (2, 75.0)
    assert (row["over_n"], row["over_predicted_under"]) == (0, None)


def test_a_prediction_that_is_not_finite_is_an_error() -> None:
    broken = table([("a", 17, math.nan, None)])
    with pytest.raises(ValueError, match="NaN or infinite"):
        age_thresholds(broken)
    with pytest.raises(ValueError, match="NaN or infinite"):
        by_group(broken, ["x"])
