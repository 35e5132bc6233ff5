"""Cross-conformal intervals against exact fractions, and their coverage on made-up people."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import (
    LEAST_SCALE,
    LEAST_SUBJECTS,
    PARTS,
    Radii,
    conformal_radii,
    coverage,
    cross_conformal,
    fit_scale,
    level_name,
    quantiles,
    scores,
    subjects_apart,
)

LEVELS = (0.5, 0.8, 0.95)

# identity, fold, age, error: an identity has all its images in one fold
rows = st.lists(
    st.tuples(
        st.integers(0, 15),
        st.integers(0, 40),
        st.integers(-20, 20).map(lambda halves: halves / 2),
    ).map(lambda row: (row[0], row[0] % 4, *row[1:])),
    min_size=1,
    max_size=40,
)


def table(drawn: list[tuple[int, int, int, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": [f"s{row:04d}" for row in range(len(drawn))],
            "identity": [f"p{identity:03d}" for identity, *_ in drawn],
            "fold": np.array([fold for _, fold, _, _ in drawn], np.int64),
            "age": np.array([age for _, _, age, _ in drawn], np.int64),
            "predicted_age": [float(age + error) for _, _, age, error in drawn],
        }
    )


def made_up(rng: np.random.Generator, subjects: int, folds: int) -> pd.DataFrame:
    """Subjects with 1 to 6 images; a subject's errors share a part of their own."""
    images = rng.integers(1, 7, subjects)
    own = rng.gamma(2.0, 1.0, subjects)
    return table(
        [
            (subject, subject % folds, int(rng.integers(20, 60)), float(own[subject] * part))
            for subject in range(subjects)
            for part in rng.normal(size=images[subject])
        ]
    )


def measured_coverage(
    predictions: pd.DataFrame, intervals: pd.DataFrame, levels: tuple[float, ...] = (0.8, 0.95)
) -> dict[str, dict[str, Any]]:
    """The coverage of intervals that are given."""
    report = coverage(predictions, intervals, levels)
    assert report is not None
    return report


def quantile_by_hand(by_subject: dict[int, list[Any]], level: Fraction) -> float:
    """The smallest value whose weights below it suffice, tried one by one."""
    for value in sorted(value for values in by_subject.values() for value in values):
        weight = sum(
            (Fraction(sum(own <= value for own in values), len(values)))
            for values in by_subject.values()
        )
        if weight >= level * (len(by_subject) + 1):
            return float(value)
    return math.inf


def radius_by_hand(drawn: list[Any], fold: int, level: Fraction, predicted: float) -> float:
    """The radius at a predicted age, subject by subject, given how a scale is fitted."""
    tested = {identity for identity, own, _, _ in drawn if own == fold}
    names = sorted({row[0] for row in drawn} - tested)
    calibrating = [(own, float(age + e), abs(e)) for own, _, age, e in drawn if own in names]
    if len(names) < LEAST_SUBJECTS:
        return quantile_by_hand(
            {name: [size for own, _, size in calibrating if own == name] for name in names}, level
        )

    def fitted(left_out: set[int]) -> Any:
        rows = [row for row in calibrating if row[0] not in left_out]
        weight = [1 / sum(other[0] == row[0] for other in rows) for row in rows]
        return fit_scale(
            np.array([row[1] for row in rows]),
            np.array([row[2] for row in rows]),
            np.array(weight),
        )

    divided: dict[int, list[float]] = {}
    for name, at, size in calibrating:
        part = names.index(name) % PARTS
        same_part = {other for place, other in enumerate(names) if place % PARTS == part}
        divided.setdefault(name, []).append(size / fitted(same_part)(np.array([at]))[0])
    return quantile_by_hand(divided, level) * float(fitted(set())(np.array([predicted]))[0])


@settings(max_examples=40)
@given(rows)
def test_intervals_agree_with_a_loop(drawn: list[Any]) -> None:
    intervals = cross_conformal(table(drawn), LEVELS)
    for level in LEVELS:
        name = level_name(level)
        for place, (_, fold, age, error) in enumerate(drawn):
            centre = float(age + error)
            radius = radius_by_hand(drawn, fold, Fraction(str(level)), centre)
            low, high = max(centre - radius, 0.0), centre + radius
            assert intervals[f"low_{name}"][place] == pytest.approx(low)
            assert intervals[f"high_{name}"][place] == pytest.approx(high)


@settings(max_examples=60)
@given(rows)
def test_quantiles_agree_with_exact_fractions(drawn: list[Any]) -> None:
    by_subject: dict[int, list[float]] = {}
    for identity, _, _, error in drawn:
        by_subject.setdefault(identity, []).append(error)
    names = sorted(by_subject)
    found = quantiles(
        np.array([row[3] for row in drawn]),
        np.array([names.index(row[0]) for row in drawn]),
        LEVELS,
    )
    exact = [quantile_by_hand(by_subject, Fraction(str(level))) for level in LEVELS]
    assert found.tolist() == exact


def test_columns_are_named_by_percent_and_rows_stay_in_order() -> None:
    predictions = table([(number, number % 2, 30, 1.0) for number in range(12)]).iloc[::-1]
    intervals = cross_conformal(predictions)
    assert list(intervals) == ["sample_id", "low_80", "high_80", "low_95", "high_95"]
    assert intervals["sample_id"].tolist() == predictions["sample_id"].tolist()
    assert intervals.index.tolist() == list(range(12))
    assert [level_name(level) for level in (0.8, 0.95, 0.975, 0.29)] == ["80", "95", "97.5", "29"]


@pytest.mark.parametrize(("subjects", "finite"), [(4, False), (5, True), (20, True)])
def test_too_few_subjects_make_infinite_intervals(subjects: int, finite: bool) -> None:
    # one subject a fold: the others calibrate, and 80 percent needs four of them
    predictions = table([(number, number, 30, 1.0) for number in range(subjects)])
    intervals = cross_conformal(predictions)
    assert np.isfinite(intervals["high_80"]).all() == finite
    assert intervals["low_80"].to_numpy() == pytest.approx(30.0 if finite else 0.0)
    assert np.isfinite(intervals["high_95"]).all() == (subjects == 20)


def test_six_sixths_of_a_subject_are_a_whole_one() -> None:
    # four calibration subjects are just enough for 80 percent, and a sum of sixths falls short
    assert np.cumsum(np.full(24, 1 / 6))[-1] < 4
    predictions = table([(number, number, 30, 1.0) for number in range(5) for _ in range(6)])
    assert cross_conformal(predictions, (0.8,))["high_80"].to_numpy() == pytest.approx(32.0)


def test_more_images_of_the_same_people_do_not_make_up_for_people() -> None:
    predictions = table([(number % 4, number % 4, 30, 1.0) for number in range(400)])
    assert np.isinf(cross_conformal(predictions)["high_80"]).all()


def test_a_single_fold_has_nothing_to_calibrate_on() -> None:
    predictions = table([(number, 0, 30, 1.0) for number in range(50)])
    assert np.isinf(cross_conformal(predictions)[["high_80", "high_95"]]).all(axis=None)


def test_a_person_with_a_thousand_images_weighs_no_more_than_another() -> None:
    many = [(0, 0, 30, 50.0)] * 1000
    others = [(number, number % 5, 30, 1.0) for number in range(1, 50)]
    intervals = cross_conformal(table(many + others))
    # one width for all, as far as the errors of the others are alike
    widths = (intervals["high_80"] - intervals["low_80"])[intervals["low_80"] < 40]
    assert widths.to_numpy() == pytest.approx(2.0)


def test_people_in_several_folds_get_no_intervals() -> None:
    others = [(number, number % 2, 30, 1.0) for number in range(1, 90)]
    apart = table([(0, 0, 30, 1.0), (0, 0, 30, 1.0), *others])
    assert subjects_apart(apart)
    radii = conformal_radii(apart).at([0.0, 31.0, 99.0])
    assert all(radii[level] == pytest.approx(np.ones(3)) for level in ("80", "95"))
    shared = table([(0, 0, 30, 1.0), (0, 1, 30, 1.0), *others])
    assert not subjects_apart(shared)
    intervals = cross_conformal(shared.iloc[::-1])
    assert list(intervals) == ["sample_id"]
    assert intervals["sample_id"].tolist() == shared["sample_id"].tolist()[::-1]
    assert coverage(shared, intervals) is None
    assert conformal_radii(shared) == Radii()


def test_a_fold_does_not_calibrate_itself() -> None:
    bad = [(number, 0, 30, 9.0) for number in range(10)]
    good = [(number, 1, 30, 1.0) for number in range(10, 20)]
    intervals = cross_conformal(table(bad + good), (0.8,))
    width = (intervals["high_80"] - intervals["low_80"]).tolist()
    assert width == pytest.approx([2.0] * 10 + [18.0] * 10)


def test_low_end_is_cut_at_birth() -> None:
    predictions = table([(number, number % 2, 1, 3.0) for number in range(12)])
    intervals = cross_conformal(predictions, (0.8,))
    assert intervals["low_80"].to_numpy() == pytest.approx(1.0)
    predictions["age"] = 10
    intervals = cross_conformal(predictions, (0.8,))
    assert intervals["low_80"].eq(0.0).all()
    assert intervals["high_80"].to_numpy() == pytest.approx(10.0)


def grown(rng: np.random.Generator, subjects: int, folds: int, slope: float) -> pd.DataFrame:
    """People whose errors grow with the age at which they are taken."""
    drawn = []
    for subject in range(subjects):
        own = rng.normal()
        for age in rng.integers(0, 60, rng.integers(4, 13)):
            error = (1.0 + slope * age) * (0.6 * own + 0.8 * rng.normal())
            drawn.append((subject, subject % folds, int(age), float(max(error, -age))))
    return table(drawn)


@pytest.mark.parametrize(("slope", "alone"), [(0.2, 72.0), (0.0, 72.0)])
def test_coverage_is_near_its_level_at_every_predicted_age(slope: float, alone: float) -> None:
    """Of the oldest, one width would hold fewer than `alone` percent where errors grow."""
    rng = np.random.default_rng(3)
    counted = np.zeros((4, 2))
    held_by_one_width = []
    for _ in range(12):
        predictions = grown(rng, 80, 5, slope)
        parts = measured_coverage(predictions, cross_conformal(predictions))["80"]["by_predicted"]
        for place, own in enumerate(list(parts.values())[:4]):
            counted[place] += own["n"], own["n"] * (own["coverage"] or 0.0)
        sizes = (predictions["age"] - predictions["predicted_age"]).abs()
        old = predictions["predicted_age"] >= 30
        held_by_one_width.append(100 * (sizes[old] <= sizes.quantile(0.8)).mean())
    shares = counted[:, 1] / counted[:, 0]
    assert np.abs(shares - 80.0).max() < 5.0
    assert (np.mean(held_by_one_width) < alone) == (slope > 0)


def test_the_order_of_rows_changes_nothing() -> None:
    predictions = grown(np.random.default_rng(0), 30, 5, 0.1)
    shuffled = predictions.sample(frac=1, random_state=4)
    expected = cross_conformal(predictions).set_index("sample_id")
    found = cross_conformal(shuffled).set_index("sample_id").loc[expected.index]
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert conformal_radii(shuffled) == conformal_radii(predictions)


def test_nobody_is_in_the_scale_of_their_own_errors() -> None:
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(20), 5)
    predicted, sizes = rng.uniform(0, 60, 100), rng.exponential(5.0, 100)
    seen: list[set[float]] = []

    def fit(at: Any, of: Any, weight: Any) -> Any:
        seen.append(set(at))
        scale = fit_scale(at, of, weight)

        def divide(new: Any) -> Any:
            assert not seen[-1] & set(new)
            own = subject[np.isin(predicted, new)]
            assert not set(own) & set(subject[np.isin(predicted, list(seen[-1]))])
            return scale(new)

        return divide

    before = scores(predicted, sizes, subject, fit)
    assert len(seen) == PARTS
    # A person's errors ten times as large are scores ten times as large.
    larger = np.where(subject == 7, 10 * sizes, sizes)
    after = scores(predicted, larger, subject)
    np.testing.assert_allclose(after[subject == 7], 10 * before[subject == 7])
    np.testing.assert_array_equal(before, scores(predicted, sizes, subject))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 80), st.floats(0, 40)), min_size=1, max_size=12).filter(
        lambda drawn: sum(size for _, size in drawn) > 1e-6
    )
)
def test_a_scale_is_the_best_that_never_falls(drawn: list[tuple[float, float]]) -> None:
    """One image a subject: the minimax formula of isotonic regression, with its floor."""
    predicted, sizes = (np.array(column, np.float64) for column in zip(*drawn, strict=True))
    predicted = np.round(predicted)
    scale = fit_scale(predicted, sizes, np.ones(len(drawn)))
    ages = np.unique(predicted)
    of = [sizes[predicted == age] for age in ages]
    assert np.all(np.diff(scale.sizes) >= -1e-9)
    if len(ages) < len(drawn):
        return  # images of equal predictions share a block
    for place in range(len(ages)):
        best = max(
            min(
                float(np.concatenate(of[first : last + 1]).mean())
                for last in range(place, len(ages))
            )
            for first in range(place + 1)
        )
        expected = max(best, LEAST_SCALE * float(sizes.mean()))
        assert scale(ages[place : place + 1])[0] == pytest.approx(expected)
    outside = scale(np.array([-50.0, 500.0]))
    assert outside == pytest.approx(scale(np.array([ages[0], ages[-1]])))


def test_no_knot_rests_on_less_than_a_subject() -> None:
    # Four images a subject: the oldest one with its huge error is a quarter of its block.
    predicted = np.arange(40.0)
    sizes = np.append(np.ones(39), 41.0)
    scale = fit_scale(predicted, sizes, np.full(40, 0.25))
    assert scale(np.array([39.0, 60.0])) == pytest.approx([11.0, 11.0])
    assert scale(np.array([0.0, 20.0, 33.5])) == pytest.approx([1.0, 1.0, 1.0])


def test_no_width_vanishes_where_a_few_are_met_exactly() -> None:
    drawn = [(number, number % 5, number, 0.0 if number < 4 else 5.0) for number in range(60)]
    radii = conformal_radii(table(drawn), (0.8,)).at([0.0, 40.0])["80"]
    assert radii[1] == pytest.approx(5.0, rel=0.05)
    assert radii[0] == pytest.approx(LEAST_SCALE * radii[1], rel=0.1)
    exact = cross_conformal(table([(number, number % 5, 30, 0.0) for number in range(60)]))
    assert exact[["low_80", "high_95"]].eq(30.0).all(axis=None)


def test_fewer_people_than_a_scale_needs_get_one_width() -> None:
    def widths(subjects: int) -> int:
        drawn = [(number, number, 9 * number, 1.0 + number) for number in range(subjects)]
        radii = conformal_radii(table(drawn), (0.5,)).at(np.arange(80.0))["50"]
        return len(set(radii.tolist()))

    assert widths(LEAST_SUBJECTS - 1) == 1
    assert widths(LEAST_SUBJECTS) > 1


def test_radii_lie_on_lines_between_knots_and_stay_beyond_them() -> None:
    radii = Radii((10.0, 20.0), {"80": (2.0, 4.0), "95": (math.inf, math.inf)})
    assert radii.at([0.0, 10.0, 15.0, 20.0, 90.0])["80"].tolist() == [2.0, 2.0, 3.0, 4.0, 4.0]
    assert np.isinf(radii.at([0.0, 15.0, 90.0])["95"]).all()
    assert radii.around(1.5) == {"80": (0.0, 3.5), "95": (0.0, math.inf)}
    assert Radii.from_json(json.loads(json.dumps(radii.as_json(), allow_nan=False))) == radii
    assert Radii().around(30.0) == {}
    assert Radii.from_json(Radii().as_json()) == Radii()


@pytest.mark.parametrize("folds", [5, 20])
def test_coverage_of_people_is_near_its_level_where_people_are_exchangeable(folds: int) -> None:
    rng = np.random.default_rng(11)
    measured = []
    for _ in range(25):
        predictions = made_up(rng, 40, folds)
        report = measured_coverage(predictions, cross_conformal(predictions))
        measured.append([report[name]["coverage_by_subject"] for name in ("80", "95")])
    means = np.mean(measured, axis=0)
    # the guarantee is at least the level, and at most one subject's weight more
    assert 79.0 <= means[0] <= 80.0 + 100 / 33 + 1.0
    assert 94.5 <= means[1] <= 95.0 + 100 / 33 + 1.0


@settings(max_examples=30)
@given(rows)
def test_coverage_agrees_with_a_loop(drawn: list[Any]) -> None:
    predictions = table(drawn)
    intervals = cross_conformal(predictions, (0.5,))
    upside_down = intervals.iloc[::-1].set_axis([0] * len(drawn))
    report = measured_coverage(predictions, upside_down, (0.5,))["50"]
    held: list[bool] = []
    by_subject: dict[int, list[bool]] = {}
    for place, (identity, _, age, _) in enumerate(drawn):
        held.append(intervals["low_50"][place] <= age <= intervals["high_50"][place])
        by_subject.setdefault(identity, []).append(held[-1])
    shares = [sum(own) / len(own) for own in by_subject.values()]
    assert report["coverage"] == pytest.approx(100 * sum(held) / len(held))
    assert report["coverage_by_subject"] == pytest.approx(100 * sum(shares) / len(shares))
    widths = (intervals["high_50"] - intervals["low_50"]).tolist()
    assert report["infinite"] == sum(map(math.isinf, widths))
    for name, low, high in [("0-19", 0, 20), ("20-39", 20, 40), ("40-59", 40, 60)]:
        inside = [place for place, row in enumerate(drawn) if low <= row[2] < high]
        part = report["by_age_bin"][name]
        assert part["n"] == len(inside)
        if not inside:
            assert part == {"n": 0, "coverage": None, "width": None}
            continue
        assert part["coverage"] == pytest.approx(
            100 * sum(held[place] for place in inside) / len(inside)
        )
        width = sum(widths[place] for place in inside) / len(inside)
        assert part["width"] == (pytest.approx(width) if math.isfinite(width) else None)
    assert report["by_age_bin"]["60+"] == {"n": 0, "coverage": None, "width": None}
    for name, part in report["by_predicted"].items():
        low = int(name.rstrip("+").split("-")[0])
        inside = [
            place for place, row in enumerate(drawn) if low <= max(row[2] + row[3], 0) < low + 10
        ]
        assert part["n"] == len(inside)
        if inside:
            assert part["coverage"] == pytest.approx(
                100 * sum(held[place] for place in inside) / len(inside)
            )
    assert sum(part["n"] for part in report["by_predicted"].values()) == len(drawn)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_coverage_of_known_intervals() -> None:
    predictions = table([(0, 0, 30, 0.0), (0, 0, 30, 0.0), (0, 1, 30, 0.0), (1, 1, 65, 0.0)])
    intervals = pd.DataFrame(
        {
            "sample_id": predictions["sample_id"],
            "low_80": [30.0, 31.0, 20.0, 66.0],
            "high_80": [32.0, 33.0, 30.0, 70.0],
        }
    )
    report = measured_coverage(predictions, intervals, (0.8,))["80"]
    assert report.pop("by_predicted") == {
        **{
            name: {"n": 0, "coverage": None, "width": None}
            for name in ("0-9", "10-19", "20-29", "40-49", "50-59", "70+")
        },
        "30-39": {"n": 3, "coverage": pytest.approx(200 / 3), "width": pytest.approx(14 / 3)},
        "60-69": {"n": 1, "coverage": 0.0, "width": 4.0},
    }
    assert report == {
        "coverage": 50.0,
        "coverage_by_subject": pytest.approx(100 / 3),
        "width": 4.5,
        "infinite": 0,
        "by_age_bin": {
            "0-19": {"n": 0, "coverage": None, "width": None},
            "20-39": {"n": 3, "coverage": pytest.approx(200 / 3), "width": pytest.approx(14 / 3)},
            "40-59": {"n": 0, "coverage": None, "width": None},
            "60+": {"n": 1, "coverage": 0.0, "width": 4.0},
        },
    }


def test_infinite_intervals_hold_everybody_and_have_no_width() -> None:
    predictions = table([(0, 0, 30, 5.0), (1, 1, 30, 5.0)])
    report = measured_coverage(predictions, cross_conformal(predictions))["95"]
    assert (report["coverage"], report["width"], report["infinite"]) == (100.0, None, 2)


def test_no_predictions_is_an_error() -> None:
    with pytest.raises(DataError, match="no predictions"):
        cross_conformal(table([]))
    with pytest.raises(DataError, match="no predictions"):
        coverage(table([]), pd.DataFrame())


def test_intervals_of_other_samples_are_an_error() -> None:
    predictions = table([(number, number % 2, 30, 1.0) for number in range(12)])
    intervals = cross_conformal(predictions)
    with pytest.raises(DataError, match="the predictions and the intervals do not hold the same"):
        coverage(predictions, intervals.iloc[2:])


@pytest.mark.parametrize("level", [0.0, 1.0, 80])
def test_a_level_that_is_no_probability_is_an_error(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        cross_conformal(table([(0, 0, 30, 1.0)]), (level,))


def test_a_prediction_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        cross_conformal(table([(0, 0, 30, math.nan)]))


@settings(max_examples=30)
@given(rows, st.floats(-5, 60))
def test_a_stranger_is_calibrated_on_everyone(drawn: list[Any], predicted: float) -> None:
    found = conformal_radii(table(drawn), LEVELS).at(predicted)
    for level in LEVELS:
        # No fold has the number 99, so nobody is left out.
        expected = radius_by_hand(drawn, 99, Fraction(str(level)), predicted)
        assert found[level_name(level)] == pytest.approx(expected)


def test_intervals_of_a_stranger_need_predictions() -> None:
    with pytest.raises(DataError, match="no predictions"):
        conformal_radii(table([]))
