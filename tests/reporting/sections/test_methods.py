"""Methods of others beside the paper's."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastive_age.evaluation.confidence import cs_intervals
from contrastive_age.reporting import page, sections
from contrastive_age.reporting.papers import MARKS, TWO_VIEWS
from contrastive_age.reporting.results import Measured
from reporting.runs import PAPERS, evidence

MakeRun = Callable[..., Measured]


@pytest.fixture
def runs(make_run: MakeRun, small: Mapping[str, Any]) -> list[Measured]:
    """Two seeds of MV, the ternary loss and two methods, and one of a third."""
    seeds = {"mv": 2, "ternary": 2, "rnc": 2, "coral": 2, "sord": 1}
    return [
        make_run(setting=setting, seed=seed, budget=small)
        for setting, number in seeds.items()
        for seed in range(number)
    ]


def test_every_named_setting_has_a_row_and_the_best_is_first(runs: list[Measured]) -> None:
    table = sections.methods.make(evidence(runs))
    by_setting = {run.setting: [] for run in runs}
    for run in runs:
        by_setting[run.setting].append(run)
    errors = {
        setting: np.mean([run.metrics["mae"] for run in own]) for setting, own in by_setting.items()
    }
    assert table["setting"].tolist() == sorted(errors, key=errors.__getitem__)
    for row in table.to_dict("records"):
        own = by_setting[row["setting"]]
        assert row["mae"] == pytest.approx(errors[row["setting"]])
        assert row["mae_low"] < row["mae"] < row["mae_high"]
        assert row["seeds"] == ", ".join(str(run.seed) for run in own)
        assert row["cs5"] == pytest.approx(np.mean([run.metrics["cs5"] for run in own]))
        assert [row["cs5_low"], row["cs5_high"]] == cs_intervals([run.predictions for run in own])[
            "5"
        ]


def test_rows_of_two_views_and_their_part_in_a_difference_are_said(runs: list[Measured]) -> None:
    known = evidence(runs)
    marks = sections.methods.make(known).set_index("setting")["mark"]
    assert marks[marks != ""].to_dict() == {"rnc": TWO_VIEWS}
    html = page.render(page.tables(known), PAPERS)
    assert MARKS[TWO_VIEWS] in html
    assert "rows marked “two views” also in a second view" in html


def test_differences_are_those_of_the_settings_compared(runs: list[Measured]) -> None:
    known = evidence(runs)
    compared = sections.comparisons.make(known)
    against = compared[compared["reference"] == "MV"].set_index("setting")
    table = sections.methods.make(known).set_index("setting")
    names = ["difference", "low", "high", "verdict", "p", "p_holm"]
    others = table.drop(index="mv")
    assert len(against) == len(others) == 4
    pd.testing.assert_frame_equal(others[names], against.loc[others.index, names])
    assert others.loc["sord", "verdict"] == "cannot be told from one seed"
    assert others.drop(index="sord")["p_holm"].notna().all()
    assert table.loc["mv", names].drop("verdict").isna().all()
    assert table.loc["mv", "verdict"] == ""


def test_other_weights_than_the_named_setting_has_are_left_out(
    make_run: MakeRun, runs: list[Measured], small: Mapping[str, Any]
) -> None:
    named = sections.methods.make(evidence(runs))
    runs += [
        make_run(setting="rnc", loss={"lambda_rnc": 2.0}, budget=small),
        make_run(setting="binary", loss={"lambda_c": 4.0}, budget=small),
    ]
    pd.testing.assert_frame_equal(
        sections.methods.make(evidence(runs))[["setting", "mae"]], named[["setting", "mae"]]
    )


def test_without_mv_there_is_no_difference(make_run: MakeRun) -> None:
    known = evidence([make_run(setting="rnc"), make_run(setting="ternary")])
    table = sections.methods.make(known)
    assert len(table) == 2
    assert table["difference"].isna().all()
    assert (table["verdict"] == "").all()
    html = page.render(page.tables(known), PAPERS)
    assert "Methods beside each other" in html


@pytest.mark.parametrize("settings", [(), ("mv", "ternary", "binary", "kld")])
def test_the_papers_alone_have_no_such_section(
    make_run: MakeRun, settings: tuple[str, ...]
) -> None:
    tables = page.tables(evidence(make_run(setting=setting) for setting in settings))
    assert tables["methods"].empty
    html = page.render(tables, PAPERS)
    assert "Methods beside each other" not in html
    assert "#methods" not in html


def test_each_budget_and_start_has_its_own_rows(
    make_run: MakeRun, small: Mapping[str, Any], faces: Mapping[str, Any]
) -> None:
    runs = [make_run(setting=setting, budget=small) for setting in ("mv", "rnc")]
    # no method of others
    runs += [make_run(setting=setting) for setting in ("mv", "ternary")]
    runs += [make_run(setting=setting, budget=small, external=faces) for setting in ("mv", "conr")]
    table = sections.methods.make(evidence(runs))
    assert table.groupby("pretraining", sort=False)["setting"].agg(set).tolist() == [
        {"mv", "rnc"},
        {"mv", "conr"},
    ]
    assert table["budget"].nunique() == 2
