"""Many settings in one process: what stands is kept, and nothing is chosen on test parts."""

import dataclasses
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import TINY, Project, make_project
from contrastive_age.commands import estimate, sweep
from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import mae_interval
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
        runs = pd.read_sql(
            "select run_uuid, name, status from runs where lifecycle_stage = 'active'", database
        )
        tags = pd.read_sql("select run_uuid, key, value from tags", database)
    wide = tags.pivot(index="run_uuid", columns="key", values="value")  # noqa: PD010
    return runs.join(wide, on="run_uuid").set_index("run_uuid")


@pytest.mark.endurance
def test_a_failed_setting_is_reported_and_stops_no_other(swept: Project) -> None:
    found = _metrics(swept)
    assert {own["parameters"]["loss"]["lambda_c"] for own in found.values()} == {0, 2}
    said = (swept.root / "said.txt").read_text(encoding="utf-8")
    assert re.findall(r" (finished|failed) +│", said) == ["finished", "failed"] * 2
    # Both have one fault, which is said once.
    (failed,) = re.findall(r"(.*) failed: .*bad\.pth", said)
    assert len(failed.split(", ")) == 2


@pytest.mark.endurance
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
    assert set(finished["setting_key"]) == set(_metrics(swept))
    assert set(finished.index) <= set(folds["mlflow.parentRunId"])


def _delete(project: Project, key: str) -> str:
    """Delete the run of a setting, and that of one of its folds for ever; give the first one."""
    client = mlflow.MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    (setting,) = client.search_runs(["1"], f"tags.setting_key = '{key}'")
    run_id: str = setting.info.run_id
    (fold,) = client.search_runs(
        ["1"], f"tags.`mlflow.parentRunId` = '{run_id}' and tags.fold = 'fold_0'"
    )
    client.delete_run(run_id)
    with sqlite3.connect(project.root / "mlflow.db") as database:
        database.execute("pragma foreign_keys = on")
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            database.execute(f"delete from {table} where run_uuid = ?", (fold.info.run_id,))
    return run_id


@pytest.mark.endurance
def test_what_stands_is_kept_and_what_was_changed_is_run_again(swept: Project) -> None:
    before = _metrics(swept)
    (changed, kept) = sorted(before)
    tables = {
        key: swept.one(f"07_model_output/synthetic_se/{key}/predictions.parquet") for key in before
    }
    table = pd.read_parquet(tables[changed])
    table.assign(predicted_age=table["age"]).to_parquet(tables[changed])
    untouched = tables[kept].stat().st_mtime_ns
    gone = _delete(swept, kept)
    done = swept.kedro("sweep", "--pipeline=synthetic_se", *GRID[:2])
    assert done.stderr.count("stands as it is") == 1
    assert tables[kept].stat().st_mtime_ns == untouched
    pd.testing.assert_frame_equal(pd.read_parquet(tables[changed]), table)
    assert _metrics(swept)[changed]["mae"] == before[changed]["mae"]
    runs = _runs(swept)
    sweeps = runs[runs["level"] == "sweep"]
    assert sorted(sweeps["status"]) == ["FAILED", "FINISHED"]
    latest = sweeps.index[sweeps["status"] == "FINISHED"][0]
    adopted = runs[(runs["level"] == "setting") & (runs["status"] == "FINISHED")]
    assert set(adopted["mlflow.parentRunId"]) == {latest}
    # Its run was taken back, and the one of a fold that was gone for ever is made anew.
    assert runs.loc[gone, "status"] == "FINISHED"
    folds = runs[runs["mlflow.parentRunId"] == gone]
    assert sorted(folds["name"]) == ["fold_0", "fold_1"]
    assert set(folds["status"]) == {"FINISHED"}


@pytest.mark.endurance
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


@pytest.mark.endurance
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
    assert (selection["seeds"], selection["seed_sd"]) == ([0], None)
    assert selection["runs"] == {key: [key] for key in selection["candidates"]}


@pytest.mark.endurance
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
        (
            ["--pipeline=fgnet_se", "--seeds=2", "--set", "seed=3,4"],
            ["--seeds=2", "--set seed=3,4"],
        ),
        (["--pipeline=fgnet_se", "--seeds=0"], ["--seeds", "x>=1"]),
        (["--pipeline=fgnet_se", "--seeds=1.5"], ["--seeds", "1.5"]),
        (["--pipeline=fgnet_se", "--seeds=2", "--params=seed=-1"], ["seed"]),
        (["--seeds=2"], ["Nothing to sweep"]),
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
        ("methods", ["fgnet_lopo", "morph_rs", "morph_se"], 14),
        ("lambda_k", ["fgnet_lopo", "morph_rs", "morph_se"], 4),
        ("lambda_k_printed", ["fgnet_lopo", "morph_rs", "morph_se"], 4),
        ("margin", ["fgnet_lopo", "morph_rs", "morph_se"], 5),
    ],
)
def test_presets_hold_the_papers_values(preset: str, protocols: list[str], number: int) -> None:
    place = _place()
    plans = sweep.plan(place, {}, pipelines=[], axes={}, preset=preset)
    assert [own.protocol for own in plans] == protocols
    assert {len(own.candidates) for own in plans} == {number}
    if preset.startswith("fig3"):
        (only,) = plans
        assert max(own.setting.loss.lambda_c for own in only.candidates) == 10
        with pytest.raises(DataError, match="lambda_c"):
            sweep.plan(place, {}, pipelines=[], axes={"loss.lambda_c": [-1]}, preset=preset)


def _place() -> Place:
    from kedro.framework.project import settings

    assert settings  # configured by the plugin
    return Place(Path(__file__).resolve().parents[2])


def test_seeds_follow_the_parameter_and_change_fastest() -> None:
    axes = {"loss.lambda_c": [0, 2]}
    plans = sweep.plan(
        _place(), {"seed": 5}, pipelines=["fgnet_se", "morph_se"], axes=axes, seeds=3
    )
    assert [own.protocol for own in plans] == ["fgnet_se", "morph_se"]
    wanted = [(weight, seed) for weight in (0, 2) for seed in (5, 6, 7)]
    for own in plans:
        settings = [candidate.setting for candidate in own.candidates]
        assert [(each.loss.lambda_c, each.seed) for each in settings] == wanted
        groups = [[one.setting.seed for one in group] for group in own.groups]
        assert groups == [[5, 6, 7]] * 2


@pytest.mark.parametrize(
    ("axes", "params"),
    [
        ({"loss.lambda_c": [0, 2]}, ["raw_root=faces"]),
        (
            {"alignment.coverage": [1.0, 1.35]},
            ["raw_root=faces,alignment.coverage=1.0", "raw_root=faces,alignment.coverage=1.35"],
        ),
    ],
)
def test_folds_are_made_by_a_command_with_what_the_sweep_was_given(
    axes: dict[str, Any], params: list[str]
) -> None:
    (plan,) = sweep.plan(_place(), {"raw_root": "faces"}, pipelines=["fgnet_se"], axes=axes)
    tags = "--tags=ingestion,detection,alignment,splitting"
    first = f"kedro run --env=demo --pipeline=fgnet_se {tags}"
    assert estimate.making_shared(dataclasses.replace(_place(), env="demo"), plan) == [
        f"{first} --params={each}" for each in params
    ]


def test_seeds_of_a_preset() -> None:
    (plan,) = sweep.plan(_place(), {}, pipelines=["morph_se"], axes={}, preset="table6", seeds=3)
    assert (len(plan.candidates), len(plan.groups)) == (21, 7)
    own = {"sweeps": {"mine": {"pipelines": ["fgnet_se"], "set": {"seed": [7, 8, 9]}}}}
    (plan,) = sweep.plan(_place(), own, pipelines=[], axes={}, preset="mine", seeds=2)
    assert [candidate.setting.seed for candidate in plan.candidates] == [0, 1]


def test_seeds_given_as_any_axis_are_brought_together() -> None:
    axes = {"seed": [4, 2], "loss.lambda_c": [0, 2]}
    (plan,) = sweep.plan(_place(), {}, pipelines=["fgnet_se"], axes=axes)
    assert [[one.setting.seed for one in group] for group in plan.groups] == [[4, 2]] * 2


def test_settings_are_named_by_what_is_varied() -> None:
    axes = {"loss.lambda_c": [10], "training.image_size": [48]}
    (plan,) = sweep.plan(_place(), {}, pipelines=["fgnet_se"], axes=axes)
    assert sweep.columns_of(plan) == ["setting", "λ_c", "training image size"]
    assert sweep.name_of(plan, plan.candidates[0]) == "λ_c 10, training image size 48"


@pytest.mark.parametrize(
    ("gains", "seeds", "said"),
    [
        ([1.0, 1.1, 0.9, 1.0, 1.1, 0.9], 3, "−1.00 [−1.09, −0.91], better"),
        ([1.0, -1.0, 0.5, -0.5, 0.3, -0.3], 3, "+0.00 [−0.77, +0.77], no difference shown"),
        ([1.0, 1.1, 0.9, 1.0, 1.1, 0.9], 1, "−1.00, cannot be told from one seed"),
    ],
)
def test_a_sweep_ends_with_what_differs(gains: list[float], seeds: int, said: str) -> None:
    people = pd.DataFrame({"identity": list("pqrstu"), "fold": [0, 0, 1, 1, 2, 2], "age": 20})
    people["sample_id"] = people["identity"]
    first = {seed: people.assign(predicted_age=25.0) for seed in range(seeds)}
    second = {seed: people.assign(predicted_age=25.0 - np.array(gains)) for seed in range(seeds)}
    head, line = sweep.differences({"λ_c 0": first, "λ_c 10": second})
    assert head.startswith("Differences of MAE in years")
    assert line == f"  λ_c 10 − λ_c 0: {said}"
    assert sweep.differences({"λ_c 0": first}) == []
    assert sweep.differences({"λ_c 0": first, "fewer": {0: first[0].iloc[:5]}}) == []


@pytest.mark.parametrize(
    ("statuses", "cells"),
    [
        (["finished"] * 3, ["3", "4.00", "1.00", "finished"]),
        (["kept"] * 3, ["3", "4.00", "1.00", "kept"]),
        (["kept", "kept", "finished"], ["3", "4.00", "1.00", "2 kept, 1 finished"]),
        (["finished", "failed", "kept"], ["2 of 3", "4.00", "1.41", "1 failed"]),
        (["failed", "failed", "kept"], ["1 of 3", "5.00", "-", "2 failed"]),
        (["failed"] * 3, ["3", "-", "-", "failed"]),
    ],
)
def test_a_setting_is_summed_up_over_the_seeds_that_are_measured(
    statuses: list[sweep.Status],
    cells: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors = [3.0, 4.0, 5.0]  # by seed, of each image
    (plan,) = sweep.plan(_place(), {}, pipelines=["fgnet_se"], axes={}, seeds=3)
    table = pd.DataFrame(
        {"sample_id": list("abcdef"), "identity": list("ppqqrs"), "fold": 0, "age": 20}
    )

    def predicted(_: Place, candidate: sweep.Candidate) -> pd.DataFrame:
        return table.assign(predicted_age=20 + errors[candidate.setting.seed])

    monkeypatch.setattr(sweep, "predictions_of", predicted)
    monkeypatch.setenv("COLUMNS", "200")
    outcomes = [
        sweep.Outcome(
            candidate, status, None if status == "failed" else {"mae": error, "mae_constant": 4.5}
        )
        for candidate, status, error in zip(plan.candidates, statuses, errors, strict=True)
    ]
    sweep.print_outcomes(_place(), plan, outcomes)
    said = capsys.readouterr().out
    (row,) = _rows(said)
    seeds, mae, deviation, interval, status = row[1:]
    assert [seeds, mae, deviation, status] == cells
    # Of images that are all alike every interval is a point.
    assert interval == ("-" if mae == "-" else f"{mae} to {mae}")
    assert ("One seed" in said) == (seeds == "1 of 3")
    assert len(re.findall(r"\(seed \d\)", said)) == statuses.count("failed")
    measured = [one for one, status in zip(errors, statuses, strict=True) if status != "failed"]
    assert ("worse than a constant" in said) == any(error >= 4.5 for error in measured)


def _rows(said: str) -> list[list[str]]:
    """The cells of a sweep's table, which comes last."""
    table = said.rpartition("Sweep of")[2]
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]


SEEDS = ["--pipeline=synthetic_se", "--set", "loss.lambda_c=0,2", "--seeds=2"]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after two settings with two seeds each, on three folds."""
    project = make_project(tmp_path_factory.mktemp("repeated"))
    given = TINY | {"protocols": {"synthetic_se": TINY["protocols"]["synthetic_se"] | {"folds": 3}}}
    (project.root / "conf/local/parameters.yml").write_text(yaml.safe_dump(given))
    done = project.kedro("sweep", *SEEDS)
    (project.root / "said.txt").write_text(done.stdout, encoding="utf-8")
    return project


def _by_setting(project: Project, part: str) -> dict[float, dict[int, str]]:
    """The keys of runs by the weight and the seed that they differ in."""
    keys: dict[float, dict[int, str]] = {}
    for key, metrics in sorted(_metrics(project).items()):
        if metrics["part"] == part:
            values = metrics["parameters"]
            keys.setdefault(values["loss"]["lambda_c"], {})[values["seed"]] = key
    return keys


@pytest.mark.endurance
def test_a_row_of_the_table_is_a_setting_with_all_its_seeds(repeated: Project) -> None:
    metrics, keys = _metrics(repeated), _by_setting(repeated, "test")
    assert {weight: sorted(seeds) for weight, seeds in keys.items()} == {0: [0, 1], 2: [0, 1]}
    rows = _rows((repeated.root / "said.txt").read_text(encoding="utf-8"))
    outputs = repeated.root / "data/07_model_output/synthetic_se"
    for weight, row in zip((0, 2), rows, strict=True):
        maes = [metrics[key]["mae"] for key in keys[weight].values()]
        assert maes[0] != maes[1]
        paths = [outputs / key / "predictions.parquet" for key in keys[weight].values()]
        interval = mae_interval([pd.read_parquet(path) for path in paths])
        assert interval is not None
        assert row == [
            "ternary",
            str(weight),
            "2",
            f"{np.mean(maes):.2f}",
            f"{np.std(maes, ddof=1):.2f}",
            f"{interval.low:.2f} to {interval.high:.2f}",
            "finished",
        ]


@pytest.mark.endurance
def test_seeds_of_a_setting_are_one_group_in_mlflow(repeated: Project) -> None:
    runs = _runs(repeated)
    keys = _by_setting(repeated, "test")
    groups = runs[runs["level"] == "setting"].set_index("setting_key")["group"]
    found = [{groups[key] for key in seeds.values()} for seeds in keys.values()]
    assert [len(group) for group in found] == [1, 1]
    assert found[0] != found[1]
    with sqlite3.connect(repeated.root / "mlflow.db") as database:
        (axis,) = database.execute(
            "select value from params join runs using (run_uuid) "
            "where name like 'sweep %' and key = 'seed'"
        ).fetchall()
    assert axis == ("0, 1",)


@pytest.mark.endurance
def test_the_report_brings_the_same_seeds_together(repeated: Project) -> None:
    repeated.kedro("run", "--pipeline=paper_report")
    measured = pd.read_csv(repeated.one("08_reporting/tables/measured.csv"))
    metrics = _metrics(repeated)
    means = [
        np.mean([metrics[key]["mae"] for key in seeds.values()])
        for seeds in _by_setting(repeated, "test").values()
    ]
    assert measured["seeds"].tolist() == ["0, 1"] * 2
    assert sorted(measured["mae"]) == pytest.approx(sorted(means))


@pytest.mark.endurance
def test_what_stands_of_a_setting_is_kept_and_a_single_seed_says_so(repeated: Project) -> None:
    untagged = _by_setting(repeated, "test")[0][0]
    group = _runs(repeated).set_index("setting_key").loc[untagged, "group"]
    with sqlite3.connect(repeated.root / "mlflow.db") as database:
        # As an earlier version left it.
        database.execute(
            "delete from tags where key = 'group' and "
            "run_uuid = (select run_uuid from tags where key = 'setting_key' and value = ?)",
            [untagged],
        )
    done = repeated.kedro("sweep", *SEEDS[:-1])
    assert _runs(repeated).set_index("setting_key").loc[untagged, "group"] == group
    assert [(row[2], row[4], row[-1]) for row in _rows(done.stdout)] == [("1", "-", "kept")] * 2
    assert done.stdout.count("One seed") == 1
    dry = repeated.kedro("sweep", *SEEDS, "--dry-run")
    assert "settings: 2, runs: 4" in dry.stdout
    assert [row[2] for row in _rows(dry.stdout)] == ["0", "1"] * 2


@pytest.mark.endurance
def test_a_setting_is_chosen_by_all_its_seeds_and_all_of_them_predict(repeated: Project) -> None:
    done = repeated.kedro("sweep", *SEEDS, "--select-on=validation", "--params=validation=0.4")
    path = repeated.one(f"{PLACE}/selected-*/selection.json")
    selection = json.loads(path.read_text(encoding="utf-8"))
    outputs = repeated.root / "data/07_model_output/synthetic_se"
    errors: dict[float, pd.DataFrame] = {}
    for weight, seeds in _by_setting(repeated, "validation").items():
        assert sorted(seeds) == [0, 1]
        tables = [pd.read_parquet(outputs / key / "predictions.parquet") for key in seeds.values()]
        # Some samples validate more than one fold.
        assert tables[0]["sample_id"].duplicated().any()
        errors[weight] = pd.DataFrame(
            [
                (table["predicted_age"] - table["age"]).abs().groupby(table["fold"]).mean()
                for table in tables
            ]
        )
    chosen = pd.read_parquet(outputs / path.parent.name / "predictions.parquet")
    folds = pd.read_parquet(repeated.one("05_model_input/synthetic_se/folds.parquet"))
    assert selection["seeds"] == [0, 1]
    assert selection["candidates"].keys() == selection["runs"].keys()
    assert list(selection["candidates"].values()) == [{"loss.lambda_c": each} for each in (0, 2)]
    assert len(selection["by_fold"]) == 3
    for own in selection["by_fold"]:
        fold, name = own["fold"], own["chosen"]
        means = {weight: table[fold].mean() for weight, table in errors.items()}
        weight = min(means, key=lambda each: means[each])
        assert selection["candidates"][name] == {"loss.lambda_c": weight}
        assert own["validation_mae"][name] == pytest.approx(means[weight])
        for seed, key in zip((0, 1), selection["runs"][name], strict=True):
            expected = pd.read_parquet(outputs / key / f"fold_{fold}/predictions.parquet")
            part = chosen[(chosen["fold"] == fold) & (chosen["seed"] == seed)]
            part = part.drop(columns="seed").reset_index(drop=True)
            pd.testing.assert_frame_equal(part, expected)
    maes = []
    for _, part in chosen.groupby("seed"):
        assert sorted(part["sample_id"]) == sorted(folds["sample_id"])
        maes.append((part["predicted_age"] - part["age"]).abs().mean())
    assert selection["mae"] == pytest.approx(np.mean(maes))
    assert selection["seed_sd"] == pytest.approx(np.std(maes, ddof=1))
    assert selection["n"] == len(folds)
    assert "mean of 2 seeds, SD" in done.stdout
    repeated.kedro("run", "--pipeline=paper_report")
    page = repeated.one("08_reporting/report.html").read_text(encoding="utf-8")
    assert f"seeds: 0, 1 (SD {selection['seed_sd']:.2f})" in page


@pytest.mark.endurance
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


def test_a_fault_that_all_settings_share_is_said_once_and_leaves_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    # Some settings would have other faces than the others.
    axes = ["--set", "loss.lambda_c=0,1", "--set", "alignment.coverage=1.2,1.4"]
    done = project.kedro("sweep", "--pipeline=custom_se", *axes, check=False)
    assert done.status == 1
    assert done.said.count("The custom pipelines read a manifest") == 1
    alone = project.kedro("run", "--pipeline=custom_se", check=False)
    assert alone.status == 1
    assert alone.said.count("The custom pipelines read a manifest") == 1
    with sqlite3.connect(project.root / "mlflow.db") as database:
        assert list(database.execute("select name from experiments")) == [("Default",)]
        assert not list(database.execute("select name from runs"))
