"""Kedro's settings for this project."""

import os

# Before MLflow is imported: nothing about a run leaves this machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow would wait for a server that is gone for many minutes; training is not to wait for it.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
# What a run looks up on the server does not belong among its own bars.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.running.console import Console
from contrastive_age.running.inputs import Inputs
from contrastive_age.running.locks import Locks
from contrastive_age.tracking.hook import Tracking

HOOKS = (Tracking(), Console(), Locks(), Inputs())
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*"]},
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
# Our own hook configures the plugin.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)
