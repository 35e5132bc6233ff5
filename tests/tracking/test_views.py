"""MLflow's page shows the settings of a protocol, the best first, with a column each λ."""

import json
import os
import sys
import zlib
from base64 import b64decode
from pathlib import Path

import mlflow
import pytest

from browsers import chromium
from contrastive_age.tracking import views
from servers import PATIENCE, listening

MAES = {"ternary": 4.9, "mv": 4.6, "binary": 5.2}


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of three settings with a fold each."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setattr(views, "get_tracking_uri", lambda: uri)
    client = mlflow.MlflowClient(uri)
    monkeypatch.setattr(views, "MlflowClient", lambda: client)
    experiment = client.create_experiment("fgnet_se")
    for number, (name, mae) in enumerate(MAES.items()):
        run = client.create_run(experiment, run_name=name, tags={"level": "setting"}).info.run_id
        fold = client.create_run(experiment, run_name="fold_0", tags={"level": "fold"}).info.run_id
        for run_id in (run, fold):
            client.log_metric(run_id, "mae", mae)
            client.log_param(run_id, "lambda_c", number)
            client.set_terminated(run_id)
    return uri


def test_an_experiment_gets_the_view_once_and_a_page(uri: str) -> None:
    ((name, address),) = views.links().items()
    assert name == "fgnet_se"
    assert views.links() == {name: address}
    experiment = mlflow.MlflowClient(uri).get_experiment_by_name(name)
    assert address.startswith(f"{views.LOCAL}/#/experiments/{experiment.experiment_id}/runs?")
    view = json.loads(experiment.tags[views.TAG])
    state = json.loads(zlib.decompress(b64decode(view["state"].removeprefix("deflate;"))))
    assert state["searchFilter"] == "tags.level = 'setting'"
    assert "params.`lambda_c`" in state["selectedColumns"]


def test_a_tracking_server_has_its_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "get_tracking_uri", lambda: "https://runs.example/mlflow/")
    assert views.link("7").startswith("https://runs.example/mlflow/#/experiments/7/runs?")


@pytest.mark.endurance
def test_the_page_lists_the_best_setting_first(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    with chromium() as browser:
        quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        server, port = listening(command, tmp_path, quiet)
        try:
            monkeypatch.setattr(views, "LOCAL", f"http://127.0.0.1:{port}")
            browser.set_window_size(1600, 900)
            browser.get(views.links()["fgnet_se"])

            def listed(_: object) -> list[str]:
                rows = browser.find_elements("css selector", ".ag-center-cols-container .ag-row")
                rows.sort(key=lambda row: int(row.get_attribute("row-index")))
                return [row.text.split("\n")[0] for row in rows if row.text]

            names = WebDriverWait(browser, PATIENCE, 0.5).until(listed)
            assert names == sorted(MAES, key=lambda name: MAES[name])
            headers = browser.find_element("css selector", ".ag-header").text
            assert {"mae", "lambda_c"} <= set(headers.split())
        finally:
            server.terminate()
            server.wait(PATIENCE)
