"""MLflow's page shows the settings of a protocol, the best first, with a column each λ."""

import json
import shutil
import zlib
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from browsers import chromium
from conftest import ROOT
from contrastive_age.parameters.effective import effective
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.tracking import run_tree, views
from contrastive_age.tracking.tracker import tracker
from servers import mlflow_server

MAES = {0: 4.9, 4: 4.6, 8: 5.2}
"""Years, by λ_c."""

READING = 30
"""Seconds in which the page is to be read, from the click on its address."""

COLUMNS = {
    *("attributes.`Run Name`", "runDateAndNestInfo", "metrics.`mae`", "metrics.`mae_low`"),
    *("metrics.`mae_high`", "params.`lambda_c`", "params.`lambda_t`", "params.`seed`"),
}
"""All that is seen at 1600 pixels."""

SAID = "return document.body.innerText"

# What covers a cell, or cuts it off, is found in its middle.
SHOWN = """
const rows = {};
for (const cell of document.querySelectorAll(".ag-cell:not(.is-checkbox-cell)")) {
  const {x, y, width, height} = cell.getBoundingClientRect();
  const seen = document.elementFromPoint(x + width / 2, y + height / 2);
  if (cell.innerText.trim() && cell.contains(seen)) {
    const row = cell.parentElement.getAttribute("row-index");
    (rows[row] ??= {})[cell.getAttribute("col-id")] = cell.innerText;
  }
}
return Object.keys(rows).sort((a, b) => a - b).map(row => rows[row]);
"""


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of a project, without runs."""
    uri = f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield uri
    mlflow.set_tracking_uri(before)


def enter(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make an experiment, as a run of its protocol does."""
    experiment = mlflow.set_experiment(name)
    views.prepare(experiment)
    monkeypatch.setattr(tracker, "experiment_id", experiment.experiment_id)
    return str(experiment.experiment_id)


def log_settings(maes: dict[int, float]) -> None:
    """Log the runs of settings, and of a fold each that beats them all."""
    files = (ROOT / "conf" / "base" / "parameters").glob("*.yml")
    given: dict[str, Any] = {}
    for file in files:
        given |= yaml.safe_load(file.read_text(encoding="utf-8"))
    client = mlflow.MlflowClient()
    for weight, mae in maes.items():
        given["loss"]["lambda_c"] = weight
        setting = effective(given, "fgnet_se")
        run_id = run_tree.setting_run(setting.key)
        run_tree.log_setting(run_id, setting, {})
        fold = run_tree.fold_run(run_id, "fold_0")
        for each, years in ((run_id, mae), (fold, 1.0)):
            for name, value in {"mae": years, "mae_low": years - 1, "mae_high": years + 1}.items():
                client.log_metric(each, name, value)
            client.set_terminated(each)


def test_an_experiment_gets_the_view_once_and_a_page(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = enter("fgnet_se (demo)", monkeypatch)
    address = f"{views.LOCAL}/#/experiments/{number}/runs?"
    ((name, found),) = views.links(["fgnet_se"]).items()
    assert name == "fgnet_se (demo)"
    assert found.startswith(address)
    assert views.links(["fgnet_se"]) == {name: found}
    view = json.loads(mlflow.MlflowClient(uri).get_experiment(number).tags[views.TAG])
    state = json.loads(zlib.decompress(b64decode(view["state"].removeprefix("deflate;"))))
    assert state["searchFilter"] == "tags.level = 'setting'"
    assert set(state["selectedColumns"]) < set(state["columnOrder"])


def test_an_experiment_of_an_earlier_version_gets_the_view(uri: str) -> None:
    mlflow.MlflowClient(uri).create_experiment("fgnet_se", tags={views.TAG: "another"})
    views.links(["fgnet_se"])
    tags = mlflow.MlflowClient(uri).get_experiment_by_name("fgnet_se").tags
    assert json.loads(tags[views.TAG])["name"] == "settings by MAE"


def test_a_tracking_server_has_its_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "get_tracking_uri", lambda: "https://runs.example/mlflow/")
    assert views.link("7").startswith("https://runs.example/mlflow/#/experiments/7/runs?")


def test_other_programs_experiments_are_left_alone(uri: str) -> None:
    mlflow.MlflowClient(uri).create_experiment("prices")
    assert views.links(["fgnet_se"]) == {}
    assert views.TAG not in mlflow.MlflowClient(uri).get_experiment_by_name("prices").tags


def test_no_password_is_printed_and_a_shell_takes_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "experiment_id", "1")
    monkeypatch.setattr(tracker, "lost", None)
    for place in (views, mlflow):
        monkeypatch.setattr(
            place, "get_tracking_uri", lambda: "postgresql://me:SECRET@host/my runs"
        )
    said = views.place(tmp_path)
    assert "SECRET" not in said
    assert said.endswith("/my runs'")


@pytest.mark.endurance
def test_the_best_lambda_of_three_is_read_where_the_terminal_says(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    with chromium() as browser, mlflow_server(uri, tmp_path / "server") as server:
        mlflow.set_tracking_uri(server)
        browser.set_window_size(1600, 1000)

        def read(count: int) -> Any:
            """Follow the address, click nothing, and read all rows from the top, by column."""
            browser.get("about:blank")
            browser.get(views.place(tmp_path))
            WebDriverWait(browser, READING, 0.2).until(
                lambda _: (
                    f"{count} matching run" in browser.execute_script(SAID)
                    and [set(row) for row in browser.execute_script(SHOWN)] == [COLUMNS] * count
                )
            )
            return browser.execute_script(SHOWN)

        enter("fgnet_se", monkeypatch)
        assert read(0) == []
        log_settings(MAES)
        # Also in a browser that has been there.
        for _ in range(2):
            rows = read(len(MAES))
            assert float(rows[0]["params.`lambda_c`"]) == min(MAES, key=lambda each: MAES[each])
            assert [float(row["metrics.`mae`"]) for row in rows] == sorted(MAES.values())
        enter("fgnet_se (demo)", monkeypatch)
        log_settings({4: 4.6})
        assert float(read(1)[0]["params.`lambda_c`"]) == 4
