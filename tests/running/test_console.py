"""What a run says of its trainings and at its end, and how it is looked at afterwards."""

import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.framework.hooks.specs import DatasetSpecs, NodeSpecs, PipelineSpecs
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from contrastive_age import settings
from contrastive_age.io.atomic import Document
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.running import console
from contrastive_age.running.console import Console, training_line
from contrastive_age.tracking.tracker import tracker

ROOT = Path(__file__).resolve().parents[2]
ENDED = datetime(2026, 11, 26, 12, 30, 5, tzinfo=UTC)
METRICS = {
    **{"mae": 4.5, "mae_by_subject": 4.6, "mae_constant": 9.5, "bias": -0.25, "cs5": 66.6},
    **{"n": 12, "folds": 2, "subjects": 4, "protocol": "p", "key": "mv-1234abcd"},
    "parameters": {"seed": 3, "source": "fgnet", "loss": {"lambda_m": 0.2}, "drawn": True},
}
BUDGET = {
    "protocol": "fgnet_lopo",
    "training": {"image_size": 48, "epochs": 8, "schedule": "onecycle", "supervise": "anchor"},
    "triplets": {"mode": "shared"},
    "model": {"weights": "none"},
}


@pytest.fixture(autouse=True)
def _papers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    papers = {"effective": {"papers": {"fgnet_lopo": {"mv": BUDGET}}}}
    monkeypatch.setattr(console, "project_parameters", lambda: papers)


def history() -> pd.DataFrame:
    table = pd.DataFrame({"total": [7.5, 5.7], "seconds": [8.4, 5.2]})
    table.attrs["ended"] = ENDED.isoformat(timespec="seconds")
    return table


def predictions() -> pd.DataFrame:
    return pd.DataFrame({"age": [10, 20, 30], "predicted_age": [12.0, 16.0, 30.0]})


def test_a_training_is_one_line() -> None:
    line = training_line(history(), predictions(), ENDED - timedelta(minutes=1))
    assert line == "2 epochs, loss 5.70, MAE 2.00 years, 14 s"
    assert training_line(history().head(1), None) == "1 epoch, loss 7.50, 8 s"


def test_a_training_that_was_kept_says_when_it_was() -> None:
    line = training_line(history(), None, ENDED + timedelta(seconds=1))
    assert line == "2 epochs, loss 5.70, 14 s, kept from 2026-11-26"
    earlier = history()
    earlier.attrs.clear()
    assert training_line(earlier, None, ENDED) == "2 epochs, loss 5.70, 14 s, kept"


def _predict(_: pd.DataFrame) -> pd.DataFrame:
    return predictions()


def _measure(*_: pd.DataFrame) -> dict[str, Any]:
    return METRICS | {"parameters": METRICS["parameters"] | BUDGET}


def _protocol(folds: int = 2) -> Pipeline:
    names = [f"p.fold_{fold}" for fold in range(folds)]
    of_folds = [
        part
        for name in names
        for part in (
            node(history, None, f"{name}.history", name="train", namespace=name),
            node(
                _predict,
                f"{name}.history",
                f"{name}.predictions",
                name="predict",
                namespace=name,
            ),
        )
    ]
    tested = [f"{name}.predictions" for name in names]
    return Pipeline([*of_folds, node(_measure, tested, "p.metrics", name="measure")])


def _run(pipeline: Pipeline, project: Path, env: str | None = None, **given: Any) -> None:
    """Run a pipeline under the hook, as a session does."""
    hooks = PluginManager("kedro")
    for specification in (DatasetSpecs, NodeSpecs, PipelineSpecs):
        hooks.add_hookspecs(specification)
    hooks.register(Console())
    metrics = Document(filepath=str(project / "reports" / "metrics.json"))
    leakage = MemoryDataset({"leaked_share": 0.5, "mae_lookup": 1.25})
    catalog = DataCatalog({"p.metrics": metrics, "p.leakage": leakage})
    told: dict[str, Any] = {
        "run_params": {"project_path": str(project), "env": env, "runtime_params": given},
        "pipeline": pipeline,
        "catalog": catalog,
    }
    hooks.hook.before_pipeline_run(**told)
    SequentialRunner().run(pipeline, catalog, hooks)
    hooks.hook.after_pipeline_run(run_result={}, **told)


def test_a_run_says_a_line_a_fold_and_at_its_end_what_came_of_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    caplog.set_level(logging.INFO, "contrastive_age")
    _run(_protocol(), tmp_path, env="demo", seed=3)
    line = "2 epochs, loss 5.70, MAE 2.00 years, 14 s, kept from 2026-11-26"
    assert caplog.messages == [f"p.fold_{fold} ({fold + 1} of 2): {line}" for fold in (0, 1)]
    rows = [line.strip("│ ").split("│") for line in capsys.readouterr().out.splitlines()]
    said = {left.strip(): right.strip() for left, right in (row for row in rows if len(row) == 2)}
    assert said["Data"] == "fgnet, DRAWN FACES"
    assert said["Losses"] == "λ_m 0.2"
    assert said["Budget"].startswith("48 px, 8 epochs, one-cycle, shared triplets")
    assert said["MAE"] == "4.50 years"
    assert said["MAE of the constant predictor"] == "9.50 years"
    assert said["MAE of the identity lookup (no pixels)"] == "1.25 years"
    assert [row[0].split("  ")[-1].strip() for row in rows[-4:]] == [
        "reports",
        "nothing was tracked",
        "make viz, or kedro viz run --env=demo --params=seed=3 --pipeline=p",
        "kedro run --env=demo --pipeline=paper_report",
    ]


def test_what_conf_local_sets_is_said_where_the_protocol_has_it_from_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    local = tmp_path / "conf" / "local" / "parameters.yml"
    local.parent.mkdir(exist_ok=True)
    local.write_text(
        "seed: 4\ntraining: {epochs: 2, image_size: 48}\nmanifest: own.csv\ndevice: cpu\n"
        "sources: {utkface: {folder: faces}, fgnet: {folder: people}}\n"
        "protocols: {morph_se: {folds: 3}}\n"
    )
    caplog.set_level(logging.INFO, "contrastive_age")
    pipeline = Pipeline([node(_measure, "fgnet_se.x", "y", name="fgnet_se.measure")])
    for env, given in ((None, {"seed": 3}), ("demo", {})):
        ProjectConfigLoader(
            str(local.parents[1]), env=env, runtime_params=given, **settings.CONFIG_LOADER_ARGS
        )
        console.say_local(pipeline)
    (line,) = caplog.messages
    assert line == (
        "conf/local/parameters.yml sets sources.fgnet, training.epochs, training.image_size"
    )


def test_in_the_projects_own_environment_no_command_names_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(_protocol(), tmp_path)
    assert "kedro viz run --pipeline=p\n" in capsys.readouterr().out


def test_of_a_sweep_each_run_says_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker, "is_sweep", True)
    caplog.set_level(logging.INFO, "contrastive_age")
    _run(_protocol(folds=1), tmp_path)
    first, last = caplog.messages
    assert first.startswith("p.fold_0: 2 epochs")
    assert last == "mv-1234abcd: MAE 4.50 years"
    assert capsys.readouterr().out == ""


def test_a_worker_leaves_it_to_its_employer_to_say_how_a_fold_went(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "is_worker", True)
    caplog.set_level(logging.INFO, "contrastive_age")
    _run(_protocol().only_nodes("p.fold_1.train", "p.fold_1.predict"), tmp_path)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("uri", "served", "command"),
    [
        (None, "models:/m-1", "MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve"),
        ("http://127.0.0.1:5000", "models:/m-1", "mlflow models serve"),
        (None, None, "kedro save-mlflow-model --model=age_model.pt --output=served"),
    ],
)
def test_a_final_model_is_served_by_a_command_that_works_as_it_stands(
    uri: str | None,
    served: str | None,
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker, "served", served)
    own = uri or f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setattr(console, "get_tracking_uri", lambda: own)
    monkeypatch.setattr(Console, "_cautions", lambda *_: [])
    catalog = DataCatalog({"p.age_model": Document(filepath=str(tmp_path / "age_model.pt"))})
    said, params = Console(), {"project_path": str(tmp_path), "env": None, "runtime_params": {}}
    said.before_pipeline_run(params, Pipeline([]), catalog)
    said.after_dataset_saved("p.age_model")
    said.after_pipeline_run()
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "over HTTP" in one]
    here = " -m models:/m-1 --env-manager local --host 127.0.0.1 --port 5001" if served else ""
    assert line == f"Serve it over HTTP      {command}{here}"
