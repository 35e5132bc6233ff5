"""The softmax's calibration against explicit loops, and temperatures that are known."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from contrastive_age.evaluation import calibration
from contrastive_age.evaluation.summary import measure_calibration
from contrastive_age.model.ages import AgeClasses

CLASSES = 40
NO_LEAKS = {"leaked_copies": 0}

few = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float64, (n, 5), elements=st.floats(-30, 30, width=32)),
        arrays.arrays(np.int64, n, elements=st.integers(0, 4)),
        st.sampled_from([0.25, 1.0, 3.0]),
    )
)


def drawn(
    n: int, temperature: float = 1.0, seed: int = 0, subjects: int = 10**9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of wide and narrow softmaxes, ages drawn from those at a temperature, and subjects."""
    rng = np.random.default_rng(seed)
    middle, width = rng.uniform(8, 32, (n, 1)), rng.uniform(2, 5, (n, 1))
    logits = -(((np.arange(CLASSES) - middle) / width) ** 2) / 2
    shares = calibration.softmax(logits, temperature)
    true = (rng.random((n, 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return logits, true, np.arange(n) % subjects


@settings(max_examples=100)
@given(few)
def test_scores_agree_with_explicit_sums(case: tuple[np.ndarray, np.ndarray, float]) -> None:
    logits, true, temperature = case
    measured = calibration.measure(logits, true, temperature)
    crps, nll, mae = [], [], []
    for row, age in zip(logits.tolist(), true.tolist(), strict=True):
        top = max(row)
        powers = [math.exp((logit - top) / temperature) for logit in row]
        shares = [power / sum(powers) for power in powers]
        nll.append(math.log(sum(powers)) - (row[age] - top) / temperature)
        crps.append(sum((sum(shares[: j + 1]) - (age <= j)) ** 2 for j in range(5)))
        mae.append(abs(sum(j * share for j, share in enumerate(shares)) - age))
    for name, values in (("crps", crps), ("nll", nll), ("mae", mae)):
        assert measured[name] == pytest.approx(sum(values) / len(values), abs=1e-9)


@settings(max_examples=100)
@given(few)
def test_the_pit_is_what_randomising_it_gives_on_average(
    case: tuple[np.ndarray, np.ndarray, float],
) -> None:
    logits, true, temperature = case
    probabilities = calibration.softmax(logits, temperature)
    measured = calibration.measure(logits, true, temperature)
    grid = (np.arange(20_000) + 0.5) / 20_000
    held, bins = np.zeros(len(calibration.LEVELS)), np.zeros(calibration.BINS)
    for row, age in zip(probabilities, true, strict=True):
        # evenly over the step, as a random place in it would be
        places = row[:age].sum() + grid * row[age]
        for number, level in enumerate(calibration.LEVELS):
            held[number] += (np.abs(places - 0.5) <= level / 200).mean()
        bins += np.histogram(np.clip(places, 0, 1 - 1e-12), calibration.BINS, (0, 1))[0] / 20_000
    percent = 100 / len(true)
    # An age held for impossible stands at one place, which can be a border.
    sure = probabilities[np.arange(len(true)), true].min() > 1e-6
    if sure:
        assert list(measured["curve"].values()) == pytest.approx(percent * held, abs=0.1)
        assert measured["pit"] == pytest.approx(percent * bins, abs=0.1)
    assert sum(measured["pit"]) == pytest.approx(100)
    assert measured["central_80"] == measured["curve"]["80"]
    json.dumps(measured, allow_nan=False)


def test_the_crps_of_a_certain_age_is_its_error() -> None:
    certain = np.zeros((7, 9))
    certain[:, 3] = 1.0
    true = np.arange(1, 8)
    scores = calibration.ranked_probability_score(certain, true)
    assert scores.tolist() == np.abs(true - 3.0).tolist()


@pytest.mark.parametrize("true", [0, 3, 8])
def test_an_age_held_for_impossible_lies_at_an_end(true: int) -> None:
    logits = np.full((1, 9), -5000.0)
    logits[0, 5] = 5000.0
    measured = calibration.measure(logits, np.array([true]))
    assert measured["nll"] == 10_000
    assert measured["central_80"] == 0
    assert measured["pit"][0 if true < 5 else -1] == 100


def test_the_pit_of_ages_drawn_from_the_softmax_is_uniform() -> None:
    logits, true, _ = drawn(20_000)
    measured = calibration.measure(logits, true)
    assert measured["pit"] == pytest.approx([5.0] * 20, abs=0.7)
    levels = [float(level) for level in measured["curve"]]
    assert list(measured["curve"].values()) == pytest.approx(levels, abs=1.2)


@pytest.mark.parametrize(("temperature", "holds_less"), [(3.0, True), (0.3, False)])
def test_a_softmax_too_narrow_holds_too_few(temperature: float, holds_less: bool) -> None:
    logits, true, _ = drawn(3_000, temperature)
    measured = calibration.measure(logits, true)
    assert (measured["central_80"] < 70) == holds_less
    assert abs(measured["central_80"] - 80) > 10


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_temperature_is_found_again(temperature: float) -> None:
    logits, true, subject = drawn(20_000, temperature)
    found = calibration.fit_temperature(logits, true, subject)
    assert found == pytest.approx(temperature, rel=0.04)
    tempered = calibration.measure(logits, true, found)
    assert tempered["central_80"] == pytest.approx(80, abs=1.5)


@settings(max_examples=30, deadline=None)
@given(few)
def test_no_temperature_has_a_smaller_likelihood_loss(
    case: tuple[np.ndarray, np.ndarray, float],
) -> None:
    logits, true, _ = case
    subject = np.arange(len(true)) // 2
    weight = 1.0 / np.bincount(subject)[subject]

    def loss(temperature: float) -> float:
        losses = calibration.negative_log_likelihood(logits, true, temperature)
        return float(np.average(losses, weights=weight))

    found = calibration.fit_temperature(logits, true, subject)
    assert calibration.LIMITS[0] <= found <= calibration.LIMITS[1]
    others = [loss(other) for other in np.geomspace(*calibration.LIMITS, 50)]
    assert loss(found) <= min([loss(1.0), *others]) + 1e-3


def test_a_person_with_a_thousand_images_weighs_no_more_than_another() -> None:
    logits, true, subject = drawn(60)
    true[0] = 0 if true[0] > 20 else CLASSES - 1
    rows = np.concatenate([np.arange(60), np.zeros(999, np.int64)])
    once = calibration.fit_temperature(logits, true, subject)
    many = calibration.fit_temperature(logits[rows], true[rows], subject[rows])
    assert many == pytest.approx(once, rel=1e-3)
    pooled = calibration.fit_temperature(logits[rows], true[rows], np.arange(len(rows)))
    assert pooled > 2 * once


def test_a_folds_own_images_do_not_move_its_temperature() -> None:
    logits, true, subject = drawn(300, 2.0, subjects=30)
    fold = subject % 3
    before = calibration.cross_temperatures(logits, true, subject, fold)
    changed = logits.copy()
    changed[fold == 1] *= 5.0
    after = calibration.cross_temperatures(changed, true, subject, fold)
    assert after[1] == before[1]
    assert (after[[0, 2]] > before[[0, 2]] + 0.1).all()


def of_folds(
    identity: np.ndarray, fold: np.ndarray, logits: np.ndarray, true: np.ndarray
) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
    """Predictions of ages from 16 on, and each fold's outputs in an order of their own."""
    names = np.array([f"s{row:04d}" for row in range(len(true))])
    predictions = pd.DataFrame(
        {"sample_id": names, "identity": identity, "fold": fold, "age": true + 16}
    )
    rows = [np.flatnonzero(fold == own)[::-1] for own in range(fold.max() + 1)]
    return predictions, [{"sample_id": names[own], "logits": logits[own]} for own in rows]


def test_each_fold_is_measured_with_its_own_temperature() -> None:
    logits, true, subject = drawn(400, 2.0, subjects=40)
    fold = subject % 4
    predictions, outputs = of_folds(subject, fold, logits.astype(np.float32), true)
    classes = AgeClasses(16, 16 + CLASSES - 1)
    told = measure_calibration(predictions, outputs, classes, NO_LEAKS)
    temperatures = calibration.cross_temperatures(logits, true, subject, fold)
    assert told["reason"] is None
    by_fold = told["temperature"]["by_fold"]
    assert list(by_fold) == ["0", "1", "2", "3"]
    assert list(by_fold.values()) == pytest.approx(temperatures, rel=1e-3)
    assert told["temperature"]["mean"] == pytest.approx(temperatures.mean(), rel=1e-3)
    of_all = calibration.fit_temperature(logits, true, subject)
    assert told["temperature"]["of_all"] == pytest.approx(of_all, rel=1e-3)
    for when, expected in (("before", 1.0), ("after", temperatures[fold])):
        measured = calibration.measure(logits, true, expected)
        for name in ("crps", "nll", "mae", "central_80"):
            assert told[when][name] == pytest.approx(measured[name], rel=1e-3), name
    assert told["after"]["nll"] < told["before"]["nll"]
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("folds", "split_people", "leakage", "reason"),
    [
        (2, True, NO_LEAKS, "people have photos in several folds"),
        (1, False, NO_LEAKS, "there is one fold"),
        (2, False, None, "validation parts"),
        (2, False, {"leaked_copies": 3}, "copies of tested photos"),
    ],
)
def test_no_temperature_is_fitted_on_what_the_networks_knew(
    folds: int, split_people: bool, leakage: dict[str, int] | None, reason: str
) -> None:
    logits, true, subject = drawn(60, 2.0, subjects=7)
    fold = (np.arange(60) if split_people else subject) % folds
    predictions, outputs = of_folds(subject, fold, logits, true)
    classes = AgeClasses(16, 16 + CLASSES - 1)
    told = measure_calibration(predictions, outputs, classes, leakage)
    assert reason in told["reason"]
    assert told["after"] is told["temperature"] is None
    assert told["before"]["crps"] == pytest.approx(calibration.measure(logits, true)["crps"])


def test_a_sample_in_several_validation_parts_counts_in_each() -> None:
    logits, true, subject = drawn(20)
    predictions, outputs = of_folds(subject, np.zeros(20, int), logits, true)
    twice = pd.concat([predictions, predictions.assign(fold=1)], ignore_index=True)
    again = [outputs[0], outputs[0] | {"logits": outputs[0]["logits"][:, ::-1]}]
    told = measure_calibration(twice, again, AgeClasses(16, 16 + CLASSES - 1), None)
    both = np.concatenate([logits, logits[:, ::-1]])
    expected = calibration.measure(both, np.concatenate([true, true]))
    assert told["before"]["crps"] == pytest.approx(expected["crps"])
