"""Kedro's settings for this project."""

import os

# Before MLflow is imported.
os.environ.update(
    {
        # Nothing about a run leaves this machine.
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow would wait many minutes for a server that is gone; training is not to wait for it.
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        # What a run looks up on the server does not belong among its own bars.
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # What the environment says wins.
        **os.environ,
    }
)

from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.running.console import Console
from contrastive_age.running.inputs import Inputs
from contrastive_age.running.last_run import LastRun
from contrastive_age.running.locks import Locks
from contrastive_age.tracking.hook import Tracking

HOOKS = (Tracking(), Console(), Locks(), Inputs(), LastRun())
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*"]},
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
# Our own hook configures the plugin.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)
