"""The page of MLflow that compares settings: the best first, with a column each λ.

MLflow opens an experiment in the view of its traces, and hides parameters and metrics. How a table
of runs is filtered, sorted and laid out can be shared by a tag of the experiment that the page's
address names. Its button "Share" does so too; it is documented nowhere, so a test looks at the
page.
"""

import base64
import json
import shlex
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient, get_tracking_uri
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from contrastive_age.errors import DataError
from contrastive_age.paths import sqlite_uri
from contrastive_age.tracking import unique_runs
from contrastive_age.tracking.tracker import FAILURES, tracker, without_password

KEY = "settings"
TAG = f"mlflow.sharedViewState.{KEY}"

LOCAL = "http://127.0.0.1:5000"
"""Where `make mlflow` serves the database of this project."""

DEMO = " (demo)"
"""What the experiments of the demo's drawn faces are told apart by."""

_WEB = ("http://", "https://")
_COLUMNS = {
    **{"metrics.`mae`": 80, "metrics.`mae_low`": 90, "metrics.`mae_high`": 90},
    **{"params.`lambda_c`": 90, "params.`lambda_t`": 90, "params.`seed`": 70},
}
"""Pixels of the columns; a page of 1280 takes them all."""

# MLflow always shows when a run was made and how long it took.
_WIDTHS = {"attributes.`Run Name`": 240, **_COLUMNS, "runDateAndNestInfo": 140, "duration": 80}
_STATE = {
    "searchFilter": "tags.level = 'setting'",
    "orderByKey": "metrics.`mae`",
    "orderByAsc": True,
    "selectedColumns": list(_COLUMNS),
    "columnOrder": list(_WIDTHS),
    "columnWidths": _WIDTHS,
}


def _shared_view() -> str:
    state = base64.b64encode(zlib.compress(json.dumps(_STATE).encode())).decode()
    # When it was shared is the same for all processes, so that none changes another's tag.
    view = {"name": "settings by MAE", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{state}"}
    return json.dumps(view)


def prepare(experiment: Experiment) -> None:
    """Let an experiment have the view that `link` opens; where it cannot, the page is another."""
    view = _shared_view()
    if experiment.tags.get(TAG) != view:
        with suppress(MlflowException):
            unique_runs.again(
                lambda: MlflowClient().set_experiment_tag(experiment.experiment_id, TAG, view)
            )


def link(experiment_id: str) -> str:
    """Give the page's address, at the tracking server, or where `make mlflow` serves a database."""
    uri = get_tracking_uri()
    server = without_password(uri).rstrip("/") if uri.startswith(_WEB) else LOCAL
    page = f"{server}/#/experiments/{experiment_id}/runs"
    return f"{page}?workflowType=machine_learning&viewStateShareKey={KEY}"


def run_page(run: Run) -> str:
    """Give the address of a run's page, as other pages of MLflow link to it."""
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def place(project: Path) -> str:
    """Say where the settings of the experiment that was entered are compared.

    Args:
        project: Its root: `make mlflow` serves the database that lies there, and no other.
    """
    uri = get_tracking_uri()
    if tracker.lost is not None or not tracker.experiment_id:
        return "nothing was tracked"
    if uri.startswith(_WEB):
        return link(tracker.experiment_id)
    if uri == sqlite_uri(project / "mlflow.db"):
        return f"make mlflow, which then shows {link(tracker.experiment_id)}"
    return shlex.join(["mlflow", "ui", "--backend-store-uri", without_password(uri)])


def links(protocols: Collection[str]) -> dict[str, str]:
    """Give the page of each experiment by its name, also of those made by earlier versions.

    Args:
        protocols: Those whose experiments are looked at: a team's server has others', too.

    Raises:
        DataError: The tracking server does not answer.
    """
    try:
        experiments = MlflowClient().search_experiments(order_by=["name ASC"])
    except FAILURES as error:
        raise DataError(f"No runs can be shown: {without_password(str(error))}") from error
    own = [each for each in experiments if each.name.removesuffix(DEMO) in protocols]
    for experiment in own:
        prepare(experiment)
    return {experiment.name: link(experiment.experiment_id) for experiment in own}
