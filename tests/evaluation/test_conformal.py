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
    conformal_radii,
    coverage,
    cross_conformal,
    level_name,
    subjects_apart,
)

LEVELS = (0.5, 0.8, 0.95)

# identity, fold, age, error: an identity has all its images in one fold
rows = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.integers(0, 40),
        st.integers(-20, 20).map(lambda halves: halves / 2),
    ).map(lambda row: (row[0], row[0] % 4, *row[1:])),
    min_size=1,
    max_size=30,
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


def radius_by_hand(drawn: list[Any], fold: int, level: Fraction) -> float:
    """The smallest error whose weights below it suffice, tried one by one."""
    tested = {identity for identity, own, _, _ in drawn if own == fold}
    by_subject: dict[int, list[float]] = {}
    for identity, _, _, error in drawn:
        if identity not in tested:
            by_subject.setdefault(identity, []).append(abs(error))
    for radius in sorted(size for sizes in by_subject.values() for size in sizes):
        weight = sum(
            (Fraction(sum(size <= radius for size in sizes), len(sizes)))
            for sizes in by_subject.values()
        )
        if weight >= level * (len(by_subject) + 1):
            return radius
    return math.inf


@settings(max_examples=60)
@given(rows)
def test_intervals_agree_with_exact_fractions(drawn: list[Any]) -> None:
    intervals = cross_conformal(table(drawn), LEVELS)
    for level in LEVELS:
        exact = Fraction(str(level))
        radii = {fold: radius_by_hand(drawn, fold, exact) for fold in {row[1] for row in drawn}}
        name = level_name(level)
        for place, (_, fold, age, error) in enumerate(drawn):
            centre = float(age + error)
            assert intervals[f"low_{name}"][place] == max(centre - radii[fold], 0.0)
            assert intervals[f"high_{name}"][place] == centre + radii[fold]


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
    assert intervals["low_80"].eq(30.0 if finite else 0.0).all()
    assert np.isfinite(intervals["high_95"]).all() == (subjects == 20)


def test_six_sixths_of_a_subject_are_a_whole_one() -> None:
    # four calibration subjects are just enough for 80 percent, and a sum of sixths falls short
    assert np.cumsum(np.full(24, 1 / 6))[-1] < 4
    predictions = table([(number, number, 30, 1.0) for number in range(5) for _ in range(6)])
    assert cross_conformal(predictions, (0.8,))["high_80"].eq(32.0).all()


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
    assert intervals["high_80"].eq(intervals["low_80"] + 2.0).all()


def test_people_in_several_folds_get_no_intervals() -> None:
    others = [(number, number % 2, 30, 1.0) for number in range(1, 90)]
    apart = table([(0, 0, 30, 1.0), (0, 0, 30, 1.0), *others])
    assert subjects_apart(apart)
    assert conformal_radii(apart) == {"80": 1.0, "95": 1.0}
    shared = table([(0, 0, 30, 1.0), (0, 1, 30, 1.0), *others])
    assert not subjects_apart(shared)
    intervals = cross_conformal(shared.iloc[::-1])
    assert list(intervals) == ["sample_id"]
    assert intervals["sample_id"].tolist() == shared["sample_id"].tolist()[::-1]
    assert coverage(shared, intervals) is None
    assert conformal_radii(shared) == {}


def test_a_fold_does_not_calibrate_itself() -> None:
    bad = [(number, 0, 30, 9.0) for number in range(10)]
    good = [(number, 1, 30, 1.0) for number in range(10, 20)]
    intervals = cross_conformal(table(bad + good), (0.8,))
    width = (intervals["high_80"] - intervals["low_80"]).tolist()
    assert width == [2.0] * 10 + [18.0] * 10


def test_low_end_is_cut_at_birth() -> None:
    predictions = table([(number, number % 2, 1, 3.0) for number in range(12)])
    intervals = cross_conformal(predictions, (0.8,))
    assert intervals["low_80"].eq(1.0).all()
    predictions["age"] = 10
    intervals = cross_conformal(predictions, (0.8,))
    assert intervals["low_80"].eq(0.0).all()
    assert intervals["high_80"].eq(10.0).all()


@pytest.mark.parametrize("folds", [5, 40])
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


@settings(max_examples=60)
@given(rows)
def test_a_stranger_is_calibrated_on_everyone(drawn: list[tuple[int, int, int, float]]) -> None:
    found = conformal_radii(table(drawn), LEVELS)
    for level in LEVELS:
        # No fold has the number 99, so nobody is left out.
        expected = radius_by_hand(drawn, 99, Fraction(str(level)))
        assert found[level_name(level)] == pytest.approx(expected)


def test_intervals_of_a_stranger_need_predictions() -> None:
    with pytest.raises(DataError, match="no predictions"):
        conformal_radii(table([]))
