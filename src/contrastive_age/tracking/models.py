"""The final model as MLflow keeps it: without code or pickles, served by `serving`."""

import base64
import io
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from contrastive_age import __version__
from contrastive_age.drawn.face import draw_face
from contrastive_age.inference.model_file import load_model

LOADER = "contrastive_age.serving"
"""The module by which MLflow loads the model."""

COLUMN = "image"

NUMBERS = (
    *("age", "low_80", "high_80", "low_95", "high_95"),
    *("score", "left", "top", "right", "bottom", "min_face"),
)
REQUIREMENTS = ("mlflow", "mtcnn", "numpy", "pandas", "pillow", "scikit-image", "torch")
"""What serving imports."""


def signature() -> ModelSignature:
    """Say what the served model takes and gives."""
    numbers = [ColSpec(DataType.double, name, required=False) for name in NUMBERS]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, COLUMN)]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "photo"),
                ColSpec(DataType.long, "face"),
                *numbers,
                ColSpec(DataType.string, "reason", required=False),
            ]
        ),
        params=ParamSchema([ParamSpec("aligned", DataType.boolean, default=False)]),
    )


def input_example() -> pd.DataFrame:
    """Give a request of one photo: a drawn face, of nobody."""
    file = io.BytesIO()
    draw_face(1, 30, size=200).save(file, "JPEG", quality=90)
    return pd.DataFrame({COLUMN: [base64.b64encode(file.getvalue()).decode("ascii")]})


def log_served(model_path: Path, name: str = "age_model") -> str:
    """Log a final model into the active MLflow run, ready to be served.

    Args:
        model_path: The final model, `age_model.pt`.
        name: What MLflow calls it.

    Returns:
        The model's URI, such as `models:/m-...`.

    Raises:
        DataError: There is no such model.
    """
    load_model(model_path)
    uri: str = mlflow.pyfunc.log_model(name=name, **what_to_save(model_path)).model_uri
    return uri


def what_to_save(model_path: Path) -> dict[str, Any]:
    """Give what MLflow's pyfunc flavor is told of a final model, `age_model.pt`."""
    return {
        "loader_module": LOADER,
        "data_path": str(model_path),
        "signature": signature(),
        "input_example": input_example(),
        # Else MLflow would load the model in another process to see what it imports.
        "pip_requirements": requirements(),
    }


def requirements() -> list[str]:
    """Name what a server of the model needs, in the installed versions."""
    return [f"contrastive-age=={__version__}", *map(_pinned, REQUIREMENTS)]


def _pinned(name: str) -> str:
    """Name a library in its installed version, or without one: the detector may be missing here."""
    try:
        # Builds for CUDA call themselves 2.14.1+cu130, and no index has them under that name.
        return f"{name}=={version(name).partition('+')[0]}"
    except PackageNotFoundError:
        return name
