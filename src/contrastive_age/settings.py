"""Kedro's settings for this project."""

import os

# Before MLflow is imported: nothing about a run leaves this machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from contrastive_age.config import ProjectConfigLoader
from contrastive_age.console import Console
from contrastive_age.locks import Locks
from contrastive_age.tracking import Tracking

HOOKS = (Tracking(), Console(), Locks())
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
# Our Tracking hook extends the plugin's own.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)
