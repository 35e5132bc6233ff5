"""Predictions that were made elsewhere: measured, compared, logged and shown as theirs."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Project
from contrastive_age.commands.compare import LEFT_OUT, key_of
from contrastive_age.errors import DataError
from contrastive_age.evaluation import theirs

NAME = "age [and] gender 2.0"
KEY = key_of(NAME)
CALL = ("compare", "--pipeline=synthetic_se", f"--name={NAME}")


@pytest.fixture
def copied(finished: Project, tmp_path: Path) -> Project:
    """A finished run of one setting, of which nothing is lost."""
    return Project(Path(shutil.copytree(finished.root, tmp_path / "copied")))


def _folds(project: Project) -> pd.DataFrame:
    return pd.read_parquet(project.one("05_model_input/synthetic_se/folds.parquet"))


def _write(project: Project, table: pd.DataFrame, name: str = "ages.csv") -> str:
    table.to_csv(project.root / name, index=False)
    return f"--predictions={project.root / name}"


def _document(project: Project) -> dict[str, Any]:
    path = project.one(f"08_reporting/synthetic_se/{KEY}/theirs.json")
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def _rows(project: Project, name: str) -> pd.DataFrame:
    return pd.read_csv(project.one(f"08_reporting/tables/{name}.csv"), keep_default_na=False)


def _off_by(folds: pd.DataFrame, years: float) -> pd.DataFrame:
    return folds[["sample_id"]].assign(predicted_age=folds["age"] + years)


@pytest.mark.endurance
def test_all_photos_are_measured_compared_and_in_the_report(copied: Project) -> None:
    folds = _folds(copied)
    done = copied.kedro(*CALL, _write(copied, _off_by(folds, 3.0)))
    document = _document(copied)
    assert document["mae"] == pytest.approx(3.0)
    assert document["left_out"] == document["renamed"] == {}
    assert document["cs5"] == 100.0
    assert sum(part["n"] for part in document["groups"]["age_bin"]) == len(folds)
    assert "calibration" not in document
    assert f"theirs: {NAME}" in done.stdout
    # One seed of ours in two folds tells no more.
    assert "cannot be told from one seed" in done.stdout

    copied.kedro("run", "--pipeline=paper_report")
    runs = _rows(copied, "your_runs").set_index("setting")
    row = runs.loc[f"theirs: {NAME}"]
    assert (row["mae"], row["mark"], row["best"]) == (
        pytest.approx(3.0),
        "theirs, from a file",
        True,
    )
    compared = _rows(copied, "comparisons").set_index("reference_setting")
    ours = json.loads(
        copied.one("08_reporting/synthetic_se/ternary-*/metrics.json").read_text(encoding="utf-8")
    )
    difference = compared.loc[f"theirs: {NAME}", "difference"]
    assert float(difference) == pytest.approx(ours["mae"] - 3.0)
    # In no table of settings, nor of the paper's.
    tables = copied.one("08_reporting/tables").glob("*.csv")
    naming = {path.stem for path in tables if "theirs" in path.read_text(encoding="utf-8")}
    assert naming == {"your_runs", "comparisons"}
    page = copied.one("08_reporting/report.html").read_text(encoding="utf-8")
    assert "theirs: age [and] gender 2.0" in page

    with sqlite3.connect(copied.root / "mlflow.db") as database:
        (run,) = database.execute(
            "select run_uuid, name, status from runs where name like 'theirs%'"
        )
        metrics = dict(
            database.execute("select key, value from latest_metrics where run_uuid = ?", run[:1])
        )
    assert run[1:] == (f"theirs: {NAME}", "FINISHED")
    assert metrics["mae"] == pytest.approx(3.0)


def test_what_is_missing_or_strange_is_listed_and_the_rest_compared(copied: Project) -> None:
    folds = _folds(copied)
    table = _off_by(folds, 2.0).astype({"predicted_age": object})
    table.loc[1, "predicted_age"] = "old"
    table.loc[len(table)] = ["nobody", 30.0]
    table.loc[len(table)] = [folds["sample_id"][3], folds["age"][3] + 2.0]
    table.loc[2, "predicted_age"] = 400.0
    fifth = folds["sample_id"][4]
    table.loc[4, "sample_id"] = f"photos/{fifth}.JPG"
    done = copied.kedro(*CALL, _write(copied, table.iloc[1:]))
    document = _document(copied)
    assert (document["n"], document["test_photos"]) == (len(folds) - 3, len(folds))
    first, second, third, fourth = folds["sample_id"][:4]
    assert document["left_out"] == {
        theirs.MISSING: {"n": 1, "first": first},
        theirs.UNREADABLE: {"n": 1, "first": second},
        theirs.IMPOSSIBLE: {"n": 1, "first": third},
        theirs.UNKNOWN: {"n": 1, "first": "nobody"},
        theirs.REPEATED: {"n": 1, "first": fourth},
    }
    assert document["renamed"] == {"n": 1, "first": f"{fifth} as photos/{fifth}.JPG"}
    assert f"1 of them, such as {fifth} as photos/{fifth}.JPG" in done.stdout
    said = done.stdout.splitlines()
    assert any(f"on {len(folds) - 3} of {len(folds)} photos alone" in line for line in said)
    assert said.index(f"  1 {theirs.REPEATED}: {fourth}") > said.index("Left out:")
    assert f"1 {theirs.MISSING}: {first}" in done.stdout
    listed = pd.read_csv(copied.one(f"08_reporting/synthetic_se/{KEY}/{LEFT_OUT}"))
    assert listed["sample_id"].tolist() == [first, second, third, "nobody", fourth]
    copied.kedro("run", "--pipeline=paper_report")
    row = _rows(copied, "your_runs").set_index("setting").loc[f"theirs: {NAME}"]
    # Ours were tested on more photos, so that it is the best of nothing.
    assert (row["best"], row["differing"]) == (False, f"on {len(folds) - 3} of {len(folds)} photos")


def test_without_a_setting_on_these_photos_it_is_said_how_to_run_one(copied: Project) -> None:
    shutil.rmtree(copied.one("08_reporting/synthetic_se"))
    done = copied.kedro(*CALL, _write(copied, _off_by(_folds(copied), 2.0)))
    assert _document(copied)["mae"] == pytest.approx(2.0)
    assert "one is by: kedro run --pipeline=synthetic_se" in done.stdout


@pytest.mark.endurance
def test_a_name_stands_for_one_file(copied: Project) -> None:
    folds = _folds(copied)
    copied.kedro(*CALL, given := _write(copied, _off_by(folds, 2.0)))
    copied.kedro(*CALL, given)
    other = _write(copied, _off_by(folds, 1.0), "other.csv")
    refused = copied.kedro(*CALL, other, check=False)
    assert refused.status == 1
    assert "was made from another file" in refused.said
    assert _document(copied)["mae"] == pytest.approx(2.0)
    copied.kedro(*CALL[:-1], "--name=another", other)


@pytest.mark.endurance
def test_what_tracking_missed_is_uploaded(copied: Project) -> None:
    given = _write(copied, _off_by(_folds(copied), 2.0))
    copied.kedro(*CALL, given, tracking_uri="http://127.0.0.1:9")
    said = copied.kedro("upload-runs", "--pipeline=synthetic_se").stdout
    assert f"synthetic_se {KEY}" in said
    with sqlite3.connect(copied.root / "mlflow.db") as database:
        (named,) = database.execute("select name from runs where name like 'theirs%'")
    assert named == (f"theirs: {NAME}",)


def test_without_folds_one_line_says_what_makes_them(project: Project) -> None:
    given = _write(project, pd.DataFrame({"sample_id": ["a"], "predicted_age": [3]}))
    done = project.kedro(*CALL, given, "--params=splitting.seed=1", check=False)
    assert done.status == 1
    said = done.said.strip().splitlines()[-1]
    assert said.endswith(
        "make its folds with: kedro run --pipeline=synthetic_se "
        "--tags=ingestion,detection,alignment,splitting --params=splitting.seed=1"
    )


def test_folds_of_other_parameters_are_refused(copied: Project) -> None:
    given = _write(copied, _off_by(_folds(copied), 2.0))
    done = copied.kedro(*CALL, given, "--params=splitting.seed=1", check=False)
    assert done.status == 1
    assert "were made otherwise" in done.said


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 61])
def test_a_name_is_one_line(name: str) -> None:
    with pytest.raises(DataError, match="--name="):
        key_of(name)


def test_names_of_one_look_have_folders_of_their_own() -> None:
    keys = {key_of(name) for name in ("a b", "a/b", "../a b", "ä", "ö", ".")}
    assert len(keys) == 6
    assert all(set(key) & set("/\\ ") == set() and key.startswith("theirs-") for key in keys)
