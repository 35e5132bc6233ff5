"""The numbers of a result get names that MLflow takes, and that its pages lay out in sections."""

from typing import Any

import pytest
from mlflow.entities import Metric
from mlflow.utils.validation import _validate_metric

from contrastive_age.tracking.metrics import flattened

SOFTMAX = {"crps": 3.25, "nll": 3.5, "mae": 4.5, "central_80": 49.0, "pit": [50.0, 50.0]}


def _part(group: str, mae: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {"group": group, "mae": mae, "mae_low": low, "mae_high": high}


DOCUMENT: dict[str, Any] = {
    "mae": 4.5,
    "mae_interval": [4.0, 5.0],
    "mae_by_age": 6.5,
    "cs5": 60.0,
    "cs5_interval": [51.0, 69.0],
    "cs": {"5": 60.0},
    "cs_intervals": {"5": [51.0, 69.0]},
    "age_bins": {"0-19": {"mae": 3.0}, "60+": {"mae": 30.0}},
    "groups": {
        "sex": [_part("male", 4.5, 4.0, 5.0)],
        "race": [_part("here/there?", 4.25, None, None)],
        "age_bin": [_part("0-19", 3.0, 2.5, 3.5), _part("60+", 30.0, None, None)],
        "decade": [_part("0-9", 2.0, 1.5, 2.5), _part("50-59", None, None, None)],
    },
    "fold_mae": {"values": {"0": 4.0, "1": 5.0}, "intervals": {"0": [3.0, 5.0], "1": None}},
    "thresholds": [
        {
            **{"age": 18, "under_predicted_over": 20.0, "under_low": 10.0, "under_high": 30.0},
            **{"over_predicted_under": 5.0, "over_low": None, "over_high": None},
        }
    ],
    "conformal": {"80": {"coverage": 81.0, "width": 12.0, "by_predicted": {}}},
    "without_leaks": {"mae": 5.5, "mae_interval": [5.0, 6.0]},
    "calibration": {"before": SOFTMAX, "after": SOFTMAX | {"crps": 3.0, "central_80": 79.0}},
}


def test_the_headline_keeps_its_names() -> None:
    flat = {name: value for name, value in flattened(DOCUMENT).items() if "/" not in name}
    assert flat == {
        **{"mae": 4.5, "mae_low": 4.0, "mae_high": 5.0, "mae_by_age": 6.5},
        **{"cs5": 60.0, "cs5_low": 51.0, "cs5_high": 69.0, "cs_5": 60.0},
        **{"mae_without_leaks": 5.5, "mae_without_leaks_low": 5.0, "mae_without_leaks_high": 6.0},
        **{"mae_age_0-19": 3.0, "mae_age_60_and_over": 30.0, "mae_age_0-9": 2.0},
        **{"crps": 3.25, "nll": 3.5, "central_80": 49.0},
        **{"crps_tempered": 3.0, "nll_tempered": 3.5, "central_80_tempered": 79.0},
    }


def test_parts_and_their_intervals_are_in_sections() -> None:
    grouped = {name: value for name, value in flattened(DOCUMENT).items() if "/" in name}
    assert grouped == {
        **{"cs/5": 60.0, "cs/5_low": 51.0, "cs/5_high": 69.0},
        **{"by_sex/male": 4.5, "by_sex/male_low": 4.0, "by_sex/male_high": 5.0},
        **{"by_race/here_there_": 4.25, "by_age/60_and_over": 30.0},
        **{"by_age/0-19": 3.0, "by_age/0-19_low": 2.5, "by_age/0-19_high": 3.5},
        **{"by_age/0-9": 2.0, "by_age/0-9_low": 1.5, "by_age/0-9_high": 2.5},
        **{"by_fold/0": 4.0, "by_fold/0_low": 3.0, "by_fold/0_high": 5.0},
        **{"mistaken/under_18": 20.0, "mistaken/under_18_low": 10.0},
        **{"mistaken/under_18_high": 30.0, "mistaken/over_18": 5.0},
        **{"interval/80_coverage": 81.0, "interval/80_width": 12.0},
        **{"softmax/crps": 3.25, "softmax/nll": 3.5, "softmax/central_80": 49.0},
        **{"softmax/crps_tempered": 3.0, "softmax/nll_tempered": 3.5},
        "softmax/central_80_tempered": 79.0,
    }


def test_mlflow_takes_every_name() -> None:
    for name, value in flattened(DOCUMENT).items():
        _validate_metric(name, value, 0, 0)
        Metric(name, value, 0, 0)


@pytest.mark.parametrize("group", [".", "..", "60+", "a/b", "Zoë?"])
def test_mlflow_takes_a_part_of_any_name(group: str) -> None:
    part = {"group": group, "mae": 4.5, "mae_low": None, "mae_high": None}
    (name,) = flattened({"groups": {"race": [part]}})
    _validate_metric(name, 4.5, 0, 0)


def test_what_a_result_lacks_is_no_metric() -> None:
    few = {"mae": 4.5, "mae_interval": None, "cs5_interval": None, "conformal": None}
    assert flattened({"mae": 4.5}) == flattened(few) == {"mae": 4.5}
    softmax = {"crps": 3.25, "nll": 3.5, "central_80": 49.0}
    expected = softmax | {f"softmax/{name}": value for name, value in softmax.items()}
    assert flattened({"calibration": {"before": softmax, "after": None}}) == expected
