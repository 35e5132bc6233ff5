"""The final model as an MLflow model: photos as base64 in, ages and intervals out.

MLflow loads the model by this module (its `loader_module`): nothing is pickled, and no code is run
that the model's folder holds. A photo that cannot be used has a row with the reason; a request that
is wrong as a whole ends as a 400.
"""

import base64
import binascii
import io
import math
import re
import shlex
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from contrastive_age.drawn.face import draw_face
from contrastive_age.errors import DataError
from contrastive_age.files import replacing_folder, why_not_writable
from contrastive_age.inference.estimator import NUMBERS, TEXTS, AgeEstimator, faces_table
from contrastive_age.inference.model_file import load_model
from contrastive_age.inference.photos import Photo
from contrastive_age.provenance import made_with
from contrastive_age.sources.decoding import size_of
from contrastive_age.sources.reading import UNREADABLE

COLUMN = "image"

REQUIREMENTS = ("mlflow", "mtcnn", "numpy", "pandas", "pillow", "scikit-image", "torch")
"""What serving imports."""

MOST_PHOTOS = 64
MOST_BYTES = 20 * 2**20
MOST_PIXELS = 50_000_000
"""Of one photo."""
MOST_PIXELS_AT_ONCE = 100_000_000
"""Of the photos of one request, which are in memory together: 300 MB."""

_DATA_URL = re.compile(r"\Adata:[\w.+/-]*(;[\w.+-]+=[\w.+-]*)*;base64,", re.IGNORECASE)


class ServedModel:
    """What MLflow calls: a table of photos in, a table of faces out."""

    def __init__(self, estimator: AgeEstimator) -> None:
        """Serve an estimator, which loads its detector with the first photo."""
        self._estimator = estimator
        # Requests come on threads of their own; of one at a time the photos are in memory.
        self._one_request = threading.Lock()

    def predict(
        self, photos: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Estimate the ages of all faces in photos.

        Args:
            photos: The column `image` holds photos as files in base64, with or without the prefix
                of a data URL.
            params: `aligned`, whether the photos are aligned faces already, square ones.

        Returns:
            A row a face, from left to right in its photo: `photo` (its row, from 0), `face` (from
            0), `age` and the ends of its intervals `low_80`, `high_80`, `low_95`, `high_95` in
            years, `score` of the detector, in pixels of the upright photo `left`, `top`, `right`,
            `bottom` and `min_face`, below which no face was looked for, `reason` and `note`, what
            is to be known of the photo. A photo without a face, or that cannot be read, has one
            row: its `face` is -1, its `age` None, and `reason` says why.
            Values are Python's, and None where unknown; the upper end of an interval is None where
            it is infinite.

        Raises:
            MlflowException: The table is not as it should be, or its photos are too many or too
                large together (INVALID_PARAMETER_VALUE), or the detector cannot work
                (INTERNAL_ERROR).
        """
        files = [_file(text) for text in _column(photos)]
        readable = [file for file in files if isinstance(file, bytes)]
        _check_together(readable)
        with self._one_request:
            try:
                found = iter(
                    self._estimator.predict(readable, aligned=bool((params or {}).get("aligned")))
                )
            except RuntimeError as error:
                raise MlflowException(f"no face can be found: {error}", INTERNAL_ERROR) from error
        predicted = [
            replace(next(found), name=str(row))
            if isinstance(file, bytes)
            else Photo(str(row), reason=file)
            for row, file in enumerate(files)
        ]
        table = faces_table(predicted)
        table.insert(0, "photo", table.pop("file").astype("int64"))
        return _for_json(table)


def save_served(model_path: Path, folder: Path) -> None:
    """Write a final model as a folder that `mlflow models serve` serves.

    Args:
        model_path: The final model, `age_model.pt`.
        folder: The folder to write; it must not exist, or be empty.

    Raises:
        DataError: There is no such model, or the folder holds something or cannot be written.
    """
    if why := why_not_writable(folder, folder=True):
        raise DataError(f"{folder} cannot be written: {why}")
    described = _described(model_path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} exists already; give another --output, or remove it")
    with replacing_folder(folder) as beside:
        mlflow.pyfunc.save_model(str(beside), **described)


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
    uri: str = mlflow.pyfunc.log_model(name=name, **_described(model_path)).model_uri
    return uri


def signature() -> ModelSignature:
    """Say what the served model takes and gives."""
    numbers = [ColSpec(DataType.double, name, required=False) for name in NUMBERS]
    texts = [ColSpec(DataType.string, name, required=False) for name in TEXTS]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, COLUMN)]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "photo"),
                ColSpec(DataType.long, "face"),
                *numbers,
                *texts,
            ]
        ),
        params=ParamSchema([ParamSpec("aligned", DataType.boolean, default=False)]),
    )


def input_example() -> pd.DataFrame:
    """Give a request of one photo: a drawn face, of nobody."""
    file = io.BytesIO()
    draw_face(1, 30, size=200).save(file, "JPEG", quality=90)
    return pd.DataFrame({COLUMN: [base64.b64encode(file.getvalue()).decode("ascii")]})


def _described(model_path: Path) -> dict[str, Any]:
    """What MLflow's pyfunc flavor is told of a final model, after making sure that it is one."""
    model = load_model(model_path)
    return {
        "loader_module": __name__,
        "data_path": str(model_path),
        "signature": signature(),
        "input_example": input_example(),
        # Else MLflow would load the model in another process to see what it imports.
        "pip_requirements": requirements(model.architecture.libraries),
    }


def requirements(further: Sequence[str] = ()) -> list[str]:
    """Name what a server of the model needs, in the installed versions; the detector may miss.

    Args:
        further: Libraries that its network is made with besides.

    Not this project, which is on no index: whoever took its name there would be installed.
    """
    # Builds for CUDA call themselves 2.14.1+cu130, and no index has them under that name.
    names = (*REQUIREMENTS, *further)
    versions = {name: number.partition("+")[0] for name, number in made_with(*names).items()}
    return [f"{name}=={versions[name]}" if name in versions else name for name in names]


def serve_command(model: str | Path) -> str:
    """Write the command that serves a model where this project is installed.

    Args:
        model: The folder of `save_served`, or the URI that `log_served` gives.
    """
    where = ("--env-manager", "local", "--host", "127.0.0.1", "--port", "5001")
    return shlex.join(["mlflow", "models", "serve", "-m", str(model), *where])


def _load_pyfunc(path: str) -> ServedModel:
    """What MLflow calls to load the model.

    Args:
        path: The copy of `age_model.pt` in the model's folder.
    """
    return ServedModel(AgeEstimator.load(path, most_megapixels=MOST_PIXELS / 1e6))


def _column(photos: pd.DataFrame) -> list[Any]:
    if not isinstance(photos, pd.DataFrame) or COLUMN not in photos:
        raise _refusal(f"photos belong in a column named {COLUMN!r}")
    if not 1 <= len(photos) <= MOST_PHOTOS:
        raise _refusal(f"there are {len(photos)} photos: send 1 to {MOST_PHOTOS} in one request")
    return photos[COLUMN].tolist()


def _file(text: Any) -> bytes | str:
    """Decode one row's base64 and look at the photo's size; or say why it cannot be read."""
    if not isinstance(text, str):
        return _unreadable("it is no text in base64")
    text = "".join(_DATA_URL.sub("", text, count=1).split())
    if not text:
        return _unreadable("it is empty")
    if len(text) > MOST_BYTES * 4 / 3 + 4:
        return _unreadable(f"the file has more than {MOST_BYTES / 2**20:.0f} MiB")
    try:
        file = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        return _unreadable(f"it is no base64 ({error})")
    width, height = _size(file)
    if width * height > MOST_PIXELS:
        most = f"{MOST_PIXELS / 1e6:.0f} million pixels"
        return _unreadable(f"it has, with {width} x {height}, more than {most}")
    return file


def _size(file: bytes) -> tuple[int, int]:
    """Read a photo's width and height from its header; 0, 0 where that fails: so will decoding."""
    try:
        return size_of(io.BytesIO(file))
    except Exception:  # on damaged bytes decoders raise nearly anything
        return 0, 0


def _unreadable(reason: str) -> str:
    return f"{UNREADABLE}: {reason}"


def _check_together(files: Sequence[bytes]) -> None:
    pixels = sum(math.prod(_size(file)) for file in files)
    if pixels > MOST_PIXELS_AT_ONCE:
        raise _refusal(
            f"the photos have {pixels / 1e6:.0f} million pixels together, more than "
            f"{MOST_PIXELS_AT_ONCE / 1e6:.0f}: send them in several requests"
        )


def _refusal(reason: str) -> MlflowException:
    """Make the error that MLflow's server answers with a 400 and the reason."""
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


def _for_json(table: pd.DataFrame) -> pd.DataFrame:
    """Put None in place of what JSON cannot say."""
    return table.astype(object).mask(table.isna() | table.isin([np.inf, -np.inf]), None)
