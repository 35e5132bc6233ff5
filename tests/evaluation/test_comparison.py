"""Comparisons of two settings, against loops, tests that everyone knows and a simulation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.comparisons import AT_48, AT_224, STRONG, Case, Law, family_wise, run
from contrastive_age.errors import DataError
from contrastive_age.evaluation.comparison import Estimate, Untold, compare, estimate, holm
from contrastive_age.evaluation.confidence import mae_interval
from contrastive_age.evaluation.metrics import Floats, Ints
from contrastive_age.evaluation.seeds import average_over_seeds
from evaluation.people import made_up, table

Errors = Mapping[int, Floats]

# identity, and the errors of four seeds in halves of a year, which sum exactly
rows = st.lists(
    st.tuples(st.sampled_from("abcde"), *[st.integers(-20, 20).map(lambda x: x / 2)] * 4),
    min_size=1,
    max_size=25,
)


def by_seed(*tables: pd.DataFrame) -> dict[int, pd.DataFrame]:
    return dict(enumerate(tables))


@settings(max_examples=20)
@given(rows)
def test_compare_agrees_with_a_loop(drawn: list[Any]) -> None:
    seeds = [table([row[0] for row in drawn], [row[s] for row in drawn]) for s in (1, 2, 3, 4)]
    # two seeds against two, so that halves are averaged exactly
    found = compare(by_seed(*seeds[:2]), {7: seeds[2].iloc[::-1], 1: seeds[3]})
    by_subject: dict[str, list[float]] = {}
    for identity, first, second, third, fourth in drawn:
        gain = (abs(first) + abs(second)) / 2 - (abs(third) + abs(fourth)) / 2
        by_subject.setdefault(identity, []).append(gain)
    pooled = [gain for gains in by_subject.values() for gain in gains]
    assert found.difference == pytest.approx(sum(pooled) / len(pooled))
    assert found.improved == sum(sum(gains) < 0 for gains in by_subject.values())
    assert found.worsened == sum(sum(gains) > 0 for gains in by_subject.values())
    assert (found.subjects, found.n) == (len(by_subject), len(drawn))
    assert found.networks == 2 * min(2, len(drawn))
    assert (found.untold == Untold.FEW_SUBJECTS) == (len(by_subject) < 4)


def test_difference_is_that_of_the_pooled_maes() -> None:
    rng = np.random.default_rng(1)
    reference = made_up(rng, 25)
    tables = [
        reference.assign(predicted_age=reference["age"] + rng.normal(0, scale, len(reference)))
        for scale in (1, 1, 3, 3)
    ]
    found = compare(by_seed(*tables[:2]), by_seed(*tables[2:]))
    maes = [(side["predicted_age"] - side["age"]).abs().mean() for side in tables]
    assert found.difference == pytest.approx((maes[0] + maes[1] - maes[2] - maes[3]) / 2)
    assert found.interval is not None
    assert found.interval.low < found.difference < found.interval.high < 0
    assert found.p is not None
    assert found.p < 0.05
    back = compare(by_seed(*tables[2:]), by_seed(*tables[:2]))
    assert (back.improved, back.worsened) == (found.worsened, found.improved)
    assert back.difference == pytest.approx(-found.difference)
    assert back.p == pytest.approx(found.p)
    assert back.detectable == found.detectable


def test_pairing_sees_a_small_gain_that_hides_in_the_spread_of_subjects() -> None:
    rng = np.random.default_rng(5)
    reference = [made_up(np.random.default_rng(5), 40, spread=5.0) for _ in range(2)]
    reference[1]["predicted_age"] += rng.normal(0, 0.5, len(reference[1]))
    better = [side.assign(predicted_age=side["predicted_age"] - 0.1) for side in reference]
    paired = compare(by_seed(*better), by_seed(*reference))
    alone = mae_interval(reference)
    assert paired.interval is not None
    assert alone is not None
    assert paired.interval.high < 0
    assert alone.high - alone.low > 10 * (paired.interval.high - paired.interval.low)
    # other seeds have nothing in common
    other = compare(by_seed(*better), {2: reference[0], 3: reference[1]})
    assert other.difference == pytest.approx(paired.difference)
    assert other.p > paired.p


def test_a_setting_against_itself_differs_in_nothing() -> None:
    rng = np.random.default_rng(2)
    whole = made_up(rng, 10).assign(age=0)
    seeds = by_seed(*(whole.assign(predicted_age=rng.random(len(whole))) for _ in range(3)))
    # sums of three in another order differ by rounding
    turned = dict(reversed(seeds.items()))
    sums = [average_over_seeds([*side.values()])["absolute_error"] for side in (seeds, turned)]
    assert (sums[0] != sums[1]).any()
    for found in (compare(seeds, turned), compare(turned, seeds)):
        assert found.difference == pytest.approx(0.0, abs=1e-12)
        assert (found.improved, found.worsened, found.subjects) == (0, 0, 10)
        assert found.p == 1
        assert found.detectable == pytest.approx(0.0, abs=1e-12)


def people_in_folds(subjects: int, folds: int, seeds: int) -> list[pd.DataFrame]:
    rng = np.random.default_rng(0)
    identity = [f"p{number % subjects}" for number in range(4 * subjects)]
    fold = [number % subjects % folds for number in range(4 * subjects)]
    return [
        table(identity, rng.normal(0, 3, len(identity)).tolist()).assign(fold=fold)
        for _ in range(seeds)
    ]


@pytest.mark.parametrize(
    ("subjects", "folds", "ours", "theirs", "untold"),
    [
        (3, 3, 2, 2, Untold.FEW_SUBJECTS),
        (4, 2, 2, 2, None),
        (20, 5, 1, 1, Untold.ONE_SEED),
        (20, 5, 1, 3, Untold.ONE_SEED),
        (20, 5, 3, 1, Untold.ONE_SEED),
        (20, 5, 2, 3, None),
        (20, 9, 1, 1, Untold.ONE_SEED),
        (20, 10, 1, 1, None),
        (20, 10, 3, 1, None),
        (20, 20, 1, 1, None),
    ],
)
def test_too_few_networks_or_subjects_tell_nothing(
    subjects: int, folds: int, ours: int, theirs: int, untold: Untold | None
) -> None:
    tables = people_in_folds(subjects, folds, ours + theirs)
    found = compare(by_seed(*tables[:ours]), by_seed(*tables[ours:]))
    assert found.untold == untold
    known = (found.interval, found.p, found.detectable)
    assert [value is None for value in known] == [untold is not None] * 3
    assert found.networks == folds * min(ours, theirs)
    assert found.difference != 0


def test_the_order_of_rows_and_seeds_does_not_matter() -> None:
    tables = people_in_folds(20, 5, 5)
    straight = compare(by_seed(*tables[:3]), {0: tables[3], 5: tables[4]})
    turned = [side.sample(frac=1, random_state=place) for place, side in enumerate(tables)]
    found = compare({2: turned[2], 0: turned[0], 1: turned[1]}, {5: turned[4], 0: turned[3]})
    assert found.p == pytest.approx(straight.p)
    assert found.detectable == pytest.approx(straight.detectable)
    # other names of the same people and folds
    renamed = [
        side.assign(identity=side["identity"] + "x", fold=9 - side["fold"]) for side in tables
    ]
    found = compare(by_seed(*renamed[:3]), {0: renamed[3], 5: renamed[4]})
    assert found.p == pytest.approx(straight.p)


def test_comparison_of_one_subject_has_no_interval() -> None:
    ours, theirs = table(["a", "a"], [1.0, 2.0]), table(["a", "a"], [2.0, 3.0])
    found = compare({0: ours}, {0: theirs})
    assert found.interval is None
    assert found.untold == Untold.FEW_SUBJECTS
    assert (found.difference, found.improved, found.worsened, found.n) == (-1.0, 1, 0, 2)


def test_sides_with_other_samples_are_an_error_that_counts_them() -> None:
    whole = table(list("abcdefgh"), [1.0] * 8)
    with pytest.raises(DataError, match=r"reference do not hold the same .* 3 are in one of them"):
        compare({0: whole.iloc[1:]}, {0: whole.iloc[:6]})
    with pytest.raises(DataError, match=r"6 are in .*\(s002, s003, s004, s005, s006, \.\.\.\)"):
        compare({0: whole}, {0: whole.iloc[:2]})
    with pytest.raises(DataError, match="no predictions"):
        compare({0: whole}, {})


@pytest.mark.parametrize(("column", "value"), [("age", 31), ("identity", "z")])
def test_sides_that_disagree_about_labels_are_an_error(column: str, value: Any) -> None:
    whole = table(list("abc"), [1.0, 2.0, 3.0])
    other = whole.copy()
    other.loc[1, column] = value
    with pytest.raises(DataError, match=rf"disagree about the {column} of 1 samples \(s001\)"):
        compare({0: whole}, {0: other})


def test_networks_of_other_folds_tell_nothing() -> None:
    whole = table(list("abcd"), [1.0, 2.0, 3.0, 4.0])
    found = compare({0: whole, 1: whole}, {0: whole, 1: whole.assign(fold=3)})
    assert found.untold == Untold.OTHER_FOLDS
    assert found.p is None


def test_two_seeds_in_two_folds_have_the_degrees_of_their_networks() -> None:
    rng = np.random.default_rng(2)
    sides = [{s: rng.normal(5, 1, 60) for s in (0, 1)} for _ in range(2)]
    subject = np.arange(60)
    found = estimate(*sides, np.full(60, 1 / 60), subject, subject % 2)
    assert found.degrees <= 2
    assert estimate(*sides, np.full(60, 1 / 60), subject, subject % 3).degrees > 3


def test_one_subject_with_a_third_of_all_images_is_not_taken_for_an_average_one() -> None:
    """By CR2 equal settings differ in about 5% of cases, where M / (M - 1) claims 9%."""
    rng = np.random.default_rng(5)
    subject = np.r_[np.zeros(40, np.int64), np.repeat(np.arange(1, 82), 1)]
    weight, trials = np.full(len(subject), 1 / len(subject)), 600
    claims = 0
    for _ in range(trials):
        gain = rng.normal(0, 1, 82)[subject] + rng.normal(0, 1, len(subject))
        zero = {0: np.zeros(len(subject))}
        claims += estimate({0: gain}, zero, weight, subject, subject).p < 0.05
    assert claims / trials < 0.08


def by_loops(errors: Errors, others: Errors, subject: Ints, fold: Ints) -> tuple[float, float]:
    """The difference and its variance, a sum at a time; all rows weigh alike."""
    n = len(subject)
    gain = [
        sum(errors[s][row] for s in errors) / len(errors)
        - sum(others[s][row] for s in others) / len(others)
        for row in range(n)
    ]
    difference = sum(gain) / n
    v_subjects = 0.0
    people = sorted(set(subject))
    for person in people:
        own = [gain[row] - difference for row in range(n) if subject[row] == person]
        v_subjects += (sum(own) / n) ** 2 / (1 - len(own) / n)

    def of_networks(rows: list[int]) -> float:
        """The variance of the part of the difference that comes from these rows."""
        ours, theirs = (
            {seed: sum(values[row] for row in rows) / n for seed, values in side.items()}
            for side in (errors, others)
        )
        if errors.keys() == others.keys():
            return float(np.var([ours[s] - theirs[s] for s in ours], ddof=1) / len(ours))
        return float(sum(np.var([*side.values()], ddof=1) / len(side) for side in (ours, theirs)))

    v_networks = v_both = 0.0
    for part in sorted(set(fold)):
        tested = [row for row in range(n) if fold[row] == part]
        v_networks += of_networks(tested)
        for person in people:
            v_both += of_networks([row for row in tested if subject[row] == person])
    return difference, v_networks + max(v_subjects - v_both, 0)


@settings(max_examples=20)
@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.sampled_from([((0, 1), (0, 1)), ((0, 1, 2), (2, 0, 1)), ((0, 1, 2), (3, 4))]),
    st.booleans(),
)
def test_the_variance_is_the_loops(
    draws: int, folds: int, seeds: tuple[tuple[int, ...], tuple[int, ...]], nested: bool
) -> None:
    rng = np.random.default_rng(draws)
    subject = rng.permutation(np.r_[np.arange(6), rng.integers(0, 6, 14)])
    fold = subject % folds if nested else rng.integers(0, folds, 20)
    errors, others = ({s: rng.exponential(3, 20) for s in side} for side in seeds)
    found = estimate(errors, others, np.full(20, 1 / 20), subject, fold)
    difference, variance = by_loops(errors, others, subject, fold)
    assert found.difference == pytest.approx(difference)
    assert found.standard_error**2 == pytest.approx(variance)
    assert 0 < found.degrees <= 5


def test_seeds_of_which_some_are_common_lie_between_none_and_all() -> None:
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(300), 3)
    common = {s: np.repeat(rng.normal(0, 1, 50), 18) for s in range(3)}
    ours = {s: values + rng.normal(0, 0.1, 900) for s, values in common.items()}
    theirs = {s: values + rng.normal(0, 0.1, 900) for s, values in common.items()}
    rows = np.full(900, 1 / 900), subject, subject // 6
    found = [
        estimate(ours, {s + moved: values for s, values in theirs.items()}, *rows).standard_error
        for moved in (0, 100)
    ]
    # what is common cancels, and is there twice where nothing is
    assert found[1] > 10 * found[0]
    half = {0: theirs[0], 1: theirs[1], 7: theirs[2]}
    assert found[0] < estimate(ours, half, *rows).standard_error < found[1]


def network_errors(values: Floats, fold: Ints) -> Errors:
    """Errors that are all a network's, of shape (seeds, folds)."""
    return {seed: row[fold] for seed, row in enumerate(values)}


def test_errors_that_are_the_networks_alone_have_students_tests_over_seeds() -> None:
    rng = np.random.default_rng(4)
    ours, theirs = rng.normal(5, 1, (2, 6, 1))
    subject, fold, weight = np.arange(8), np.zeros(8, np.int64), np.full(8, 1 / 8)
    a, b = (network_errors(side, fold) for side in (ours, theirs))
    paired = estimate(a, b, weight, subject, fold)
    assert paired.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue[0])
    assert paired.degrees == 5
    # more subjects than networks, which the degrees of freedom never exceed
    subject, fold, weight = np.arange(30), np.zeros(30, np.int64), np.full(30, 1 / 30)
    a, b = (network_errors(side, fold) for side in (ours, theirs))
    apart = {seed + 6: values for seed, values in b.items()}
    found = estimate(a, apart, weight, subject, fold)
    assert found.p == pytest.approx(stats.ttest_ind(ours, theirs).pvalue[0])
    assert found.degrees == pytest.approx(10)
    interval = stats.ttest_ind(ours, theirs).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (interval.low[0], interval.high[0])
    )


@pytest.mark.parametrize("seeds", [1, 4])
def test_a_subject_a_fold_has_students_test_over_subjects(seeds: int) -> None:
    rng = np.random.default_rng(6)
    effect = rng.normal(0, 2, 20)
    a, b = ({s: rng.normal(5, 0.5, 20) for s in range(seeds)} for _ in range(2))
    a = {s: values + effect for s, values in a.items()}
    found = estimate(a, b, np.full(20, 1 / 20), np.arange(20), np.arange(20))
    means = [np.mean([*side.values()], axis=0) for side in (a, b)]
    expected = stats.ttest_rel(*means)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.degrees == pytest.approx(expected.df)


def test_one_seed_in_ten_folds_has_students_test_over_folds() -> None:
    rng = np.random.default_rng(7)
    subject = np.arange(40)
    fold = subject % 10
    a, b = ({0: rng.normal(5, 1, 40)} for _ in range(2))
    found = estimate(a, b, np.full(40, 1 / 40), subject, fold)
    of_folds = [[side[0][fold == k].mean() for k in range(10)] for side in (a, b)]
    expected = stats.ttest_rel(*of_folds)
    assert found.standard_error == pytest.approx(abs(found.difference / expected.statistic))
    assert found.degrees == pytest.approx(9, rel=0.01)


def test_one_seed_and_subjects_in_several_folds_are_clustered_by_both() -> None:
    rng = np.random.default_rng(8)
    subject, fold = rng.integers(0, 30, 200), rng.integers(0, 10, 200)
    gain = rng.normal(0, 1, 30)[subject] + rng.normal(0, 1, 10)[fold] + rng.normal(0, 1, 200)
    zero = {0: np.zeros(200)}
    found = estimate({0: gain}, zero, np.full(200, 1 / 200), subject, fold)
    rest = gain - gain.mean()

    def squares(*keys: Ints) -> float:
        clusters = pd.Series(rest / 200).groupby([*keys])
        return float((clusters.sum() ** 2 / (1 - clusters.size() / 200)).sum())

    expected = squares(subject) + squares(fold) - squares(subject, fold)
    assert found.standard_error**2 == pytest.approx(expected)
    assert 9 < found.degrees < 29


@pytest.mark.parametrize("degrees", [5, 10, 81])
def test_the_detectable_difference_is_found_in_four_of_five_cases(degrees: int) -> None:
    rng = np.random.default_rng(9)
    errors = np.sqrt(rng.chisquare(degrees, 20000) / degrees)
    printed = np.median([Estimate(0, error, degrees).detectable for error in errors[:2000]])
    found = stats.nct.sf(stats.t.ppf(0.975, degrees), degrees, printed)
    assert found == pytest.approx(0.8, abs=0.02)


def test_holm_takes_the_smallest_first() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.02]).tolist() == [0.02]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(values: list[float]) -> None:
    rejected: set[int] = set()
    for place in sorted(range(len(values)), key=values.__getitem__):
        if values[place] * (len(values) - len(rejected)) >= 0.05:
            break
        rejected.add(place)
    found = holm(values)
    assert {place for place, p in enumerate(found) if p < 0.05} == rejected
    assert (found >= values).all()
    assert (found <= 1).all()


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        Case(AT_224, 5, (0, 1, 2), (0, 1, 2), 0.5),
        Case(AT_48, 5, (0, 1, 2), (3, 4, 5)),
        Case(STRONG, 5, (0, 1, 2), (0, 1, 2)),
        Case(STRONG, 82, (0, 1, 2), (3, 4, 5)),
        Case(STRONG, 10, (0,), (0,)),
    ],
    ids=lambda case: case.name,
)
def test_equal_settings_are_called_different_in_one_case_of_twenty(case: Case, heavy: bool) -> None:
    rates = run(case, Law(heavy), 500)
    # a standard error of 500 trials is 1.0 and 1.8 percent
    assert 2 <= rates.claims <= 8
    assert 75 <= rates.found <= 86


def test_subjects_alone_take_networks_for_settings() -> None:
    rates = run(Case(STRONG, 5, (0, 1, 2), (0, 1, 2)), Law(heavy=False), 300)
    assert rates.alone > 15
    assert rates.half > 1.5 * rates.alone_half


def test_a_family_claims_anything_in_one_case_of_twenty() -> None:
    case = Case(STRONG, 5, (0, 1, 2), (0, 1, 2))
    alone, one_by_one, adjusted = family_wise(case, Law(heavy=False), 200)
    assert alone > 40
    assert one_by_one > 12
    assert adjusted < 9


def test_a_further_seed_of_one_side_is_no_difference_of_settings() -> None:
    people = list("abcdabcd")
    ours = {0: table(people, [1.0] * 8), 1: table(people, [2.0] * 8)}
    theirs = {1: ours[1], 0: ours[0], 2: table(people, [9.0] * 8)}
    found = compare(ours, theirs)
    assert (found.difference, found.improved, found.worsened) == (0.0, 0, 0)
    assert (found.seeds, set(found.reference_seeds)) == ((0, 1), {0, 1})
    # of which each has some that the other lacks, all are taken
    assert compare(theirs, {1: ours[1], 7: ours[0]}).seeds == (1, 0, 2)
