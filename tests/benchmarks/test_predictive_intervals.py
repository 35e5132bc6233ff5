"""The benchmark of predictive intervals: ours there is ours here, and its verdicts are right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import predictive_intervals as benchmark
from contrastive_age.evaluation.conformal import conformal_radii, coverage, cross_conformal


def predictions(seed: int = 0) -> pd.DataFrame:
    """Of made-up people, each fifth in a fold of its own."""
    rng = np.random.default_rng(seed)
    people = benchmark.make_up(rng, benchmark.Size(60, (4, 9)), benchmark.SPREADS["grows"])
    signs = rng.choice([-1.0, 1.0], len(people.sizes))
    return pd.DataFrame(
        {
            "sample_id": [f"s{row:04d}" for row in range(len(signs))],
            "identity": [f"p{subject:03d}" for subject in people.subject],
            "fold": people.subject % 5,
            "age": people.seen[:, 0] + signs * people.sizes,
            "predicted_age": people.seen[:, 0],
        }
    )


def test_the_candidate_that_is_ours_gives_the_radii_of_the_project() -> None:
    table = predictions()
    people = benchmark.People(
        pd.factorize(table["identity"])[0],
        np.stack([table["predicted_age"], np.ones(len(table))], axis=1),
        (table["predicted_age"] - table["age"]).abs().to_numpy(),
    )
    new = np.stack([np.linspace(0, 69, 30), np.ones(30)], axis=1)
    found = benchmark.CANDIDATES[benchmark.OURS](people)(new)
    expected = conformal_radii(table).at(new[:, 0])
    np.testing.assert_allclose(found, np.stack([expected["80"], expected["95"]], axis=1))


def test_before_and_after_are_measured_alike() -> None:
    table = predictions().assign(age=lambda own: own["age"].clip(lower=0))
    found = {outcome.level: outcome for outcome in benchmark.compare(table)}
    for intervals, place in ((benchmark.before(table), 0), (cross_conformal(table), 1)):
        expected = coverage(table, intervals)
        assert expected is not None
        for level, outcome in found.items():
            of_level = expected[f"{level:g}"]
            assert outcome.coverage[place] == pytest.approx(of_level["coverage"])
            assert outcome.width[place] == pytest.approx(of_level["width"])
            by_decade = [own.coverage for own in outcome.decades[place]][:4]
            assert by_decade == pytest.approx(
                [own["coverage"] for own in list(of_level["by_predicted"].values())[:4]]
            )
    widths = benchmark.before(table).assign(fold=table["fold"])
    assert (
        (widths["high_80"] - table["predicted_age"])
        .round(9)
        .groupby(table["fold"])
        .nunique()
        .eq(1)
        .all()
    )


@pytest.mark.parametrize(
    ("decade", "near"),
    [
        (benchmark.Decade("0–9", 50, 75.0, 0.1, 80.0), True),
        (benchmark.Decade("0–9", 50, 74.0, 0.1, 80.0), False),
        (benchmark.Decade("0–9", 50, 74.0, 3.0, 80.0), True),
        (benchmark.Decade("0–9", 50, 89.0, 3.0, 80.0), False),
    ],
)
def test_a_decade_is_near_by_points_or_by_standard_errors(
    decade: benchmark.Decade, near: bool
) -> None:
    assert decade.near == near


def test_the_clustered_error_of_equal_subjects_is_the_textbook_one() -> None:
    # Subjects of two images that agree: the standard error of as many subjects, not images.
    shares = np.array([1, 0, 1, 1, 0, 1, 1, 1], dtype=bool)
    found = benchmark.clustered_error(np.repeat(shares, 2), np.repeat(np.arange(8), 2))
    assert found == pytest.approx(100 * shares.std(ddof=1) / np.sqrt(8))


def test_tables_have_a_line_for_everything() -> None:
    found = benchmark.simulate_all(benchmark.Size(25, (1, 3)), repeats=1, strangers=200)
    spreads, candidates = len(benchmark.SPREADS), len(benchmark.CANDIDATES)
    assert len(found) == spreads * candidates * 2
    assert len(benchmark.simulation_table(found)) == 2 + spreads * candidates
    assert len(benchmark.summary_table(found)) == 2 + candidates
    one = found[found["intervals"] == benchmark.BEFORE]
    assert one["width"].to_numpy() == pytest.approx(1.0)
    table = predictions()
    runs = dict(benchmark.runs_of(pd.concat([table.assign(seed=0), table.assign(seed=1)])))
    assert list(runs) == ["0", "1"]
    lines = benchmark.comparison_table(list(runs.items()))
    assert len(lines) == 2 + 2 * 2 * 2 + 2
    assert lines[-1] in {f"Passed: {number} of 4." for number in range(5)}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["fgnet_lopo", "fgnet_se"])
def test_real_people_are_held_at_every_predicted_age(shared_data: Path, name: str) -> None:
    path = shared_data / "results" / name / "predictions.parquet"
    outcomes = benchmark.compare(pd.read_parquet(path))
    assert all(outcome.passed for outcome in outcomes)
    one_width = outcomes[0].decades[0]
    assert not all(decade.near for decade in one_width if decade.judged)
