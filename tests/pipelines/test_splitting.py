"""Folds are made for the parameters that use them."""

from typing import Any

import pandas as pd
import pytest
import yaml

from conftest import ROOT
from contrastive_age import params
from contrastive_age.errors import DataError
from contrastive_age.pipelines.splitting import nodes


@pytest.fixture
def given() -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for path in (ROOT / "conf" / "base" / "parameters").glob("*.yml"):
        merged |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return merged


@pytest.fixture
def samples() -> pd.DataFrame:
    rows = [
        (f"{who}/{age}", f"{who}/{age}.jpg", f"{who}", age) for who in range(10) for age in (3, 9)
    ]
    return pd.DataFrame(rows, columns=["sample_id", "path", "identity", "age"])


def test_folds_of_other_parameters_are_refused(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    setting = params.effective(given, "fgnet_se")
    folds, report = nodes.split(samples, setting)
    assert report["leaked_images"] == 0
    nodes.check_made_for(folds, setting)
    for changed in ({"max_samples": 8}, {"splitting": given["splitting"] | {"seed": 1}}):
        other = params.effective(given | changed, "fgnet_se")
        with pytest.raises(DataError, match="made with other parameters"):
            nodes.check_made_for(folds, other)


def test_all_settings_share_their_folds(given: dict[str, Any], samples: pd.DataFrame) -> None:
    one, _ = nodes.split(samples, params.effective(given | {"seed": 1}, "fgnet_se"))
    other, _ = nodes.split(samples, params.effective(given | {"setting": "mv"}, "fgnet_se"))
    assert one["fold"].equals(other["fold"])
    assert one.attrs == other.attrs


def test_a_split_list_that_leaks_is_refused(
    given: dict[str, Any], samples: pd.DataFrame, tmp_path: Any
) -> None:
    path = tmp_path / "split.csv"
    samples.assign(fold=range(len(samples)))[["sample_id", "fold"]].assign(
        fold=lambda table: table["fold"] % 5
    ).to_csv(path, index=False)
    changed = given | {"splitting": given["splitting"] | {"folds_file": str(path)}}
    with pytest.raises(DataError, match="fold"):
        nodes.split(samples, params.effective(changed, "fgnet_se"))
    folds, report = nodes.split(samples, params.effective(changed, "custom_rs"))
    assert report["leaked_images"] > 0
    assert folds["fold"].nunique() == 5


def test_the_number_of_folds_must_be_the_pipelines(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=r"fgnet_lopo\.folds=10"):
        nodes.split(samples, params.effective(given, "fgnet_lopo"))


@pytest.mark.parametrize(
    ("change", "protocol", "said"),
    [
        ({"age": 30}, "fgnet_se", "All 20 samples of fgnet have age 30: there is nothing to learn"),
        ({"age": 70}, "fgnet_se", r"20 samples .* outside 0 to 69.*0/3, age 70.*fgnet_se\.ages"),
        ({"age": 15}, "morph_se", "outside 16 to 77"),
        ({"identity": "x"}, "fgnet_se", "at least 5 subjects, but there are only 1"),
    ],
)
def test_samples_that_no_network_can_learn_from_are_refused(
    given: dict[str, Any], samples: pd.DataFrame, change: dict[str, Any], protocol: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        nodes.split(samples.assign(**change), params.effective(given, protocol))
