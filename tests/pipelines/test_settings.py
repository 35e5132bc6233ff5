"""Settings never share a result, and a second run takes up what is done."""

import json
import re
import sqlite3

import pandas as pd

from conftest import Project


def _keys(project: Project) -> set[str]:
    return {path.name for path in (project.root / "data/08_reporting/synthetic_se").iterdir()}


def test_another_lambda_is_another_result_and_the_same_one_is_kept(project: Project) -> None:
    project.kedro("run")
    (first,) = _keys(project)
    model = project.one(f"06_models/synthetic_se/{first}/fold_0/model.pth").read_bytes()
    predictions = pd.read_parquet(
        project.one(f"07_model_output/synthetic_se/{first}/predictions.parquet")
    )

    again = project.kedro("run")
    assert _keys(project) == {first}
    assert len(re.findall(r"fold_\d \(.*\): .* s, kept from", again.stderr)) == 2
    assert "0 faces aligned, 24 kept" in again.stderr
    assert project.one(f"06_models/synthetic_se/{first}/fold_0/model.pth").read_bytes() == model

    project.kedro(
        "run", "--params=loss.lambda_c=3", "--tags=triplets,training,evaluation,reporting"
    )
    (second,) = _keys(project) - {first}
    pd.testing.assert_frame_equal(
        pd.read_parquet(project.one(f"07_model_output/synthetic_se/{first}/predictions.parquet")),
        predictions,
    )
    metrics = {
        key: json.loads(
            project.one(f"08_reporting/synthetic_se/{key}/metrics.json").read_text(encoding="utf-8")
        )
        for key in (first, second)
    }
    assert metrics[first]["parameters"]["loss"]["lambda_c"] == 1
    assert metrics[second]["parameters"]["loss"]["lambda_c"] == 3
    assert metrics[first]["mae"] != metrics[second]["mae"]

    with sqlite3.connect(project.root / "mlflow.db") as database:
        query = "select value from tags where key in ('setting_key', 'fold')"
        runs = [value for (value,) in database.execute(query)]
    assert sorted(runs) == sorted([first, second, *["fold_0", "fold_1"] * 2])
