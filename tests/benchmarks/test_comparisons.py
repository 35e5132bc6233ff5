"""The simulation of comparisons: what it draws, and the tables it writes."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import comparisons
from benchmarks.comparisons import AT_48, IMAGES, Case, Law, Noise, alone, draw


def test_images_are_those_of_fgnet() -> None:
    assert (len(IMAGES), sum(IMAGES), min(IMAGES), max(IMAGES)) == (82, 1002, 6, 18)


@pytest.mark.parametrize("heavy", [False, True])
def test_networks_vary_as_they_are_said_to(heavy: bool) -> None:
    case = Case(Noise("here", 0.3, 0.6), 5, (0, 1), (1, 2), images=[10] * 2000)
    trial = draw(case, Law(heavy), np.random.default_rng(0))
    ours, theirs = trial.settings
    assert set(trial.weight) == {1 / 2000}
    drawn = pd.DataFrame({"own": ours[1], "same": theirs[1], "other": theirs[2]})
    within = drawn - drawn.groupby(trial.fold).transform("mean")
    assert within.std().to_numpy() == pytest.approx([0.6] * 3, rel=0.15)
    found = within.corr()
    assert found.loc["own", "same"] == pytest.approx(0.4, abs=0.1)
    assert found.loc["own", "other"] == pytest.approx(0.0, abs=0.1)


def test_the_noise_that_was_drawn_is_measured() -> None:
    noise = Noise("here", 0.5, 0.8)
    case = Case(noise, 40, range(20), (0,), images=[3] * 400)
    trial = draw(case, Law(False), np.random.default_rng(0))
    errors = np.stack([*trial.settings[0].values()])
    found = comparisons.noise_of(errors, trial.subject, trial.fold)
    assert found == pytest.approx((0.5, 0.8), rel=0.1)


def test_a_random_split_has_images_as_rows() -> None:
    trial = draw(Case(AT_48, 5, (0,), (0,), random=True), Law(False), np.random.default_rng(0))
    assert len(trial.weight) == 1002
    assert trial.weight.sum() == pytest.approx(1)
    assert np.bincount(trial.subject).tolist() == list(IMAGES)
    assert pd.Series(trial.fold).groupby(trial.subject).nunique().max() == 5


def test_subjects_alone_are_a_bootstrap_over_subjects() -> None:
    rng = np.random.default_rng(0)
    trial = draw(Case(AT_48, 5, (0, 1), (0, 1)), Law(False), rng)
    gain = sum(trial.settings[0].values()) / 2 - sum(trial.settings[1].values()) / 2
    picks = rng.integers(0, 82, (4000, 82))
    weight = trial.weight[picks]
    resampled = (weight * gain[picks]).sum(axis=1) / weight.sum(axis=1)
    assert alone(trial).standard_error == pytest.approx(resampled.std(), rel=0.05)


def test_all_cases_have_a_line() -> None:
    lines = comparisons.simulate(3).splitlines()
    cases = list(comparisons.cases())
    assert len({case.name for case in cases}) == len(cases)
    assert [line.count("|") for line in lines[: len(cases) + 2]] == [11] * (len(cases) + 2)
    one_seed = next(line for line in lines if "| 5 | 1 and the same 1 |" in line)
    assert "– / –" in one_seed
    assert [line.count("|") for line in lines[-4:]] == [5] * 4


def test_seeds_of_one_setting_against_each_other() -> None:
    rng = np.random.default_rng(0)
    n = 60
    tables = [
        pd.DataFrame(
            {
                "sample_id": [f"s{row}" for row in range(n)],
                "identity": [f"p{row % 20}" for row in range(n)],
                "fold": [row % 20 % 5 for row in range(n)],
                "age": 30,
                # one network that is always off
                "predicted_age": 30 + rng.normal(0, 1, n) + (20 if seed == 3 else 0),
            }
        )
        for seed in range(4)
    ]
    lines = comparisons.between_seeds(tables, draws=20).splitlines()
    assert lines[2] == "| one against one | 6 | 3 | no verdict |"
    assert lines[3].startswith("| two against two | 3 | 3 |")
    assert lines[4].startswith("| two against two, dealt by fold | 20 |")
    assert lines[6].startswith("Networks vary by 9.")
