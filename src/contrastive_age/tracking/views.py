"""The page of MLflow that compares settings: the best first, with a column each λ.

MLflow opens an experiment in the view of its traces, and hides parameters and metrics. How a table
of runs is filtered, sorted and laid out can be shared by a tag of the experiment that the page's
address names. Its button "Share" does so too; it is documented nowhere, so a test looks at the
page.
"""

import base64
import json
import zlib

from mlflow import MlflowClient, get_tracking_uri
from mlflow.entities import Experiment

KEY = "settings"
TAG = f"mlflow.sharedViewState.{KEY}"

LOCAL = "http://127.0.0.1:5000"
"""Where `make mlflow` serves the database of this project."""

_STATE = {
    "searchFilter": "tags.level = 'setting'",
    "orderByKey": "metrics.`mae`",
    "orderByAsc": True,
    "selectedColumns": [
        *("metrics.`mae`", "metrics.`mae_low`", "metrics.`mae_high`"),
        *("params.`lambda_c`", "params.`lambda_t`", "params.`seed`"),
    ],
}


def _shared_view() -> str:
    state = base64.b64encode(zlib.compress(json.dumps(_STATE).encode())).decode()
    # When it was shared is the same for all processes, so that none changes another's tag.
    view = {"name": KEY, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{state}"}
    return json.dumps(view)


def prepare(experiment: Experiment) -> None:
    """Let an experiment have the view that `link` opens."""
    view = _shared_view()
    if experiment.tags.get(TAG) != view:
        MlflowClient().set_experiment_tag(experiment.experiment_id, TAG, view)


def link(experiment_id: str) -> str:
    """Give the page's address, at the tracking server, or where `make mlflow` serves a database."""
    uri = get_tracking_uri()
    server = uri.rstrip("/") if uri.startswith(("http://", "https://")) else LOCAL
    page = f"{server}/#/experiments/{experiment_id}/runs"
    return f"{page}?workflowType=machine_learning&viewStateShareKey={KEY}"


def links() -> dict[str, str]:
    """Give the page of each experiment by its name, also of those made by earlier versions."""
    found = {}
    for experiment in MlflowClient().search_experiments(order_by=["name ASC"]):
        if experiment.name != "Default":
            prepare(experiment)
            found[experiment.name] = link(experiment.experiment_id)
    return found
