"""Many settings in one process: what stands is kept, and nothing is chosen on test parts."""

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import Project, make_project
from contrastive_age.commands import sweep
from contrastive_age.errors import DataError
from contrastive_age.running.place import Place

PLACE = "08_reporting/synthetic_se"
GRID = ["--set", "loss.lambda_c=0,2", "--set", "model.weights=none,bad.pth"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project after a grid of four settings, two of which cannot be trained."""
    project = make_project(tmp_path_factory.mktemp("swept"))
    (project.root / "bad.pth").write_text("no weights")
    done = project.kedro("sweep", "--pipeline=synthetic_se", *GRID, check=False)
    (project.root / "said.txt").write_text(done.stdout, encoding="utf-8")
    assert done.status == 1, done.stdout + done.stderr
    yield project


def _metrics(project: Project) -> dict[str, dict[str, Any]]:
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in (project.root / "data" / PLACE).glob("*/metrics.json")
    }


def _runs(project: Project) -> pd.DataFrame:
    with sqlite3.connect(project.root / "mlflow.db") as database:
        runs = pd.read_sql("select run_uuid, name, status from runs", database)
        tags = pd.read_sql("select run_uuid, key, value from tags", database)
    wide = tags.pivot(index="run_uuid", columns="key", values="value")  # noqa: PD010
    return runs.join(wide, on="run_uuid").set_index("run_uuid")


def test_a_failed_setting_is_reported_and_stops_no_other(swept: Project) -> None:
    found = _metrics(swept)
    assert {own["parameters"]["loss"]["lambda_c"] for own in found.values()} == {0, 2}
    said = (swept.root / "said.txt").read_text(encoding="utf-8")
    assert re.findall(r" (finished|failed) +│", said) == ["finished", "failed"] * 2
    assert len(re.findall(r"failed: DataError: .*bad\.pth", said)) == 2


def test_runs_are_a_tree_of_sweep_settings_and_folds(swept: Project) -> None:
    runs = _runs(swept)
    (parent,) = runs.index[runs["level"] == "sweep"]
    assert runs.loc[parent, "status"] == "FAILED"
    assert len(runs.loc[parent, "failed"].split(", ")) == 2
    settings = runs[runs["level"] == "setting"]
    assert len(settings) == 4
    assert set(settings["mlflow.parentRunId"]) == {parent}
    folds = runs[runs["level"] == "fold"]
    finished = settings[settings["status"] == "FINISHED"]
    assert set(finished["name"]) == set(_metrics(swept))
    assert set(finished.index) <= set(folds["mlflow.parentRunId"])


def test_what_stands_is_kept_and_what_was_changed_is_run_again(swept: Project) -> None:
    before = _metrics(swept)
    (changed, kept) = sorted(before)
    tables = {
        key: swept.one(f"07_model_output/synthetic_se/{key}/predictions.parquet") for key in before
    }
    table = pd.read_parquet(tables[changed])
    table.assign(predicted_age=table["age"]).to_parquet(tables[changed])
    untouched = tables[kept].stat().st_mtime_ns
    done = swept.kedro("sweep", "--pipeline=synthetic_se", *GRID[:2])
    assert done.stdout.count("stands as it is") == 1
    assert tables[kept].stat().st_mtime_ns == untouched
    pd.testing.assert_frame_equal(pd.read_parquet(tables[changed]), table)
    assert _metrics(swept)[changed]["mae"] == before[changed]["mae"]
    runs = _runs(swept)
    sweeps = runs[runs["level"] == "sweep"]
    assert sorted(sweeps["status"]) == ["FAILED", "FINISHED"]
    latest = sweeps.index[sweeps["status"] == "FINISHED"][0]
    adopted = runs[(runs["level"] == "setting") & (runs["status"] == "FINISHED")]
    assert set(adopted["mlflow.parentRunId"]) == {latest}


def test_a_dry_run_lists_the_settings_and_their_time_and_writes_nothing(swept: Project) -> None:
    def written() -> dict[Path, int]:
        files = (swept.root / "data").rglob("*")
        return {path: path.stat().st_mtime_ns for path in files}

    before = written()
    done = swept.kedro(
        "sweep", "--pipeline=synthetic_se", "--set", "loss.lambda_c=0,5", "--dry-run"
    )
    assert "stands" in done.stdout
    assert "In all: " in done.stdout
    # 24 images in two folds, each a training part once, for one epoch
    assert done.stdout.count(" 24 ") == 2
    assert written() == before


def test_a_setting_is_chosen_on_validation_subjects_alone(swept: Project) -> None:
    swept.kedro(
        "sweep",
        "--pipeline=synthetic_se",
        "--set",
        "loss.lambda_c=0,2",
        "--select-on=validation",
        "--params=validation=0.4",
    )
    selection = json.loads(
        swept.one(f"{PLACE}/selected-*/selection.json").read_text(encoding="utf-8")
    )
    folds = pd.read_parquet(swept.one("05_model_input/synthetic_se/folds.parquet"))
    identity_of = folds.set_index("sample_id")["identity"]
    outputs = swept.root / "data/07_model_output/synthetic_se"
    validated = {
        own["parameters"]["loss"]["lambda_c"]: outputs / key / "predictions.parquet"
        for key, own in _metrics(swept).items()
        if own["part"] == "validation"
    }
    assert set(validated) == {0, 2}
    errors = {}
    for value, path in validated.items():
        table = pd.read_parquet(path)
        for fold, part in table.groupby("fold"):
            test = set(folds.loc[folds["fold"] == fold, "identity"])
            assert not set(identity_of[part["sample_id"]]) & test
            errors[value, fold] = float(np.abs(part["predicted_age"] - part["age"]).mean())
    chosen = pd.read_parquet(
        swept.one("07_model_output/synthetic_se/selected-*/predictions.parquet")
    )
    assert sorted(chosen["sample_id"]) == sorted(folds["sample_id"])
    for own in selection["by_fold"]:
        fold, key = own["fold"], own["chosen"]
        point = selection["candidates"][key]
        assert errors[point["loss.lambda_c"], fold] == min(errors[value, fold] for value in (0, 2))
        expected = pd.read_parquet(outputs / key / f"fold_{fold}/predictions.parquet")
        part = chosen[chosen["fold"] == fold].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, expected)
    error = (chosen["predicted_age"] - chosen["age"]).abs().mean()
    assert selection["mae"] == pytest.approx(error)


def test_the_report_holds_what_stands_and_says_what_was_not_run(swept: Project) -> None:
    results = {
        path.parent: json.loads(path.read_text(encoding="utf-8"))
        for path in (swept.root / "data" / PLACE).glob("*/metrics.json")
    }
    swept.kedro("run", "--pipeline=paper_report")
    page = swept.one("08_reporting/report.html").read_text(encoding="utf-8")
    tables = {path.stem: path for path in (swept.root / "data/08_reporting/tables").glob("*.csv")}
    assert {f"table_{number}" for number in range(1, 7)} <= set(tables)
    measured = pd.read_csv(tables["measured"])
    on_test = [own for own in results.values() if own["part"] == "test"]
    assert sorted(measured["mae"]) == pytest.approx(sorted(own["mae"] for own in on_test))
    assert "kedro run --pipeline=morph_se" in page
    assert "2.37" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Nothing to sweep", "--pipeline"]),
        (["--preset=table7"], ["table7", "table6"]),
        (["--pipeline=morph", "--set", "seed=1"], ["morph is no protocol", "morph_se"]),
        (["--pipeline=fgnet_se", "--set", "loss.lambda_c=1,-1"], ["lambda_c"]),
        (["--pipeline=fgnet_se", "--set", "loss.lambda_c"], ["names no values"]),
        (["--pipeline=fgnet_se", "--set", "protocols.fgnet_se.folds=3,4"], ["pipeline itself"]),
    ],
)
def test_mistakes_end_in_a_sentence(arguments: list[str], words: list[str]) -> None:
    from click.testing import CliRunner

    from contrastive_age.cli import cli

    done = CliRunner().invoke(cli, ["sweep", *arguments], prog_name="kedro")
    assert done.exit_code != 0
    for word in words:
        assert word in " ".join(done.output.split())


def test_a_grid_is_every_combination() -> None:
    assert sweep.grid({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


@pytest.mark.parametrize(
    ("preset", "protocols", "number"),
    [
        ("table6", ["fgnet_lopo", "morph_rs", "morph_se"], 7),
        ("fig3a", ["morph_se"], 6),
        ("fig3b", ["morph_se"], 12),
        ("lambda_k", ["fgnet_lopo", "morph_rs", "morph_se"], 4),
        ("margin", ["fgnet_lopo", "morph_rs", "morph_se"], 5),
    ],
)
def test_presets_hold_the_papers_values(preset: str, protocols: list[str], number: int) -> None:
    from kedro.framework.project import settings

    place = Place(Path(__file__).resolve().parents[2])
    assert settings  # configured by the plugin
    plans = sweep.plan(place, {}, pipelines=[], axes={}, preset=preset)
    assert [own.protocol for own in plans] == protocols
    assert {len(own.candidates) for own in plans} == {number}
    if preset.startswith("fig3"):
        (only,) = plans
        assert max(own.setting.loss.lambda_c for own in only.candidates) == 10
        with pytest.raises(DataError, match="lambda_c"):
            sweep.plan(place, {}, pipelines=[], axes={"loss.lambda_c": [-1]}, preset=preset)


def test_each_coverage_is_chosen_among_and_predicted_on_its_own_faces(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.kedro(
        *("sweep", "--pipeline=synthetic_se", "--set", "alignment.coverage=1.0,1.35"),
        *("--select-on=validation", "--params=validation=0.4"),
    )
    coverages = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["parameters"]["alignment"]
        for path in (project.root / "data" / PLACE).glob("*/metrics.json")
    }
    selection = json.loads(project.one(f"{PLACE}/selected-*/selection.json").read_text())
    coverages |= {
        key: {"coverage": point["alignment.coverage"]}
        for key, point in selection["candidates"].items()
    }
    faces: dict[float, set[str]] = {}
    for path in (project.root / "data/06_models/synthetic_se").rglob("history.parquet"):
        record = pd.read_parquet(path).attrs["record"]["decided_by"]
        coverage = coverages[path.parent.parent.name]["coverage"]
        faces.setdefault(coverage, set()).update(record["faces"])
    assert {coverage: len(own) for coverage, own in faces.items()} == {1.0: 1, 1.35: 1}
    assert faces[1.0] != faces[1.35]
