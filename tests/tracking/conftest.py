"""A database of runs, which takes MLflow seconds to make."""

from pathlib import Path

import pytest

from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.tracking import database


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without runs; tests copy it."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProjectConfigLoader, "latest", None)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        database.prepare()
    return path
