"""The final model as an MLflow model: photos as base64 in, ages and intervals out.

MLflow loads the model by this module (its `loader_module`): nothing is pickled, and no code is run
that the model's folder holds. What a client sends wrongly ends as a 400 that names the row.
"""

import base64
import binascii
import io
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from PIL import Image

from contrastive_age import __version__
from contrastive_age.drawn.face import draw_face
from contrastive_age.errors import DataError
from contrastive_age.files import replacing_folder
from contrastive_age.inference.estimator import NUMBERS, AgeEstimator, faces_table
from contrastive_age.inference.model_file import load_model
from contrastive_age.provenance import made_with

COLUMN = "image"

REQUIREMENTS = ("mlflow", "mtcnn", "numpy", "pandas", "pillow", "scikit-image", "torch")
"""What serving imports."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
"""Read from strangers; Pillow's decoders of rare formats are not offered to them."""

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
            `bottom` and `min_face`, below which no face was looked for, and `reason`. A photo
            without a face has one row: its `face` is -1, its `age` None, and `reason` says why.
            Values are Python's, and None where unknown; the upper end of an interval is None where
            it is infinite.

        Raises:
            MlflowException: The table or a photo in it is not as it should be
                (INVALID_PARAMETER_VALUE), or the detector cannot work (INTERNAL_ERROR).
        """
        files = [_file(row, text) for row, text in enumerate(_column(photos))]
        opened = [_opened(row, file) for row, file in enumerate(files)]
        _check_together(opened)
        with self._one_request:
            for row, image in enumerate(opened):
                _decode(row, image)
            try:
                predicted = self._estimator.predict(
                    opened, aligned=bool((params or {}).get("aligned"))
                )
            except RuntimeError as error:
                raise MlflowException(f"no face can be found: {error}", INTERNAL_ERROR) from error
        table = faces_table(predicted)
        names = {photo.name: row for row, photo in enumerate(predicted)}
        table.insert(0, "photo", table.pop("file").map(names))
        return _for_json(table)


def save_served(model_path: Path, folder: Path) -> None:
    """Write a final model as a folder that `mlflow models serve` serves.

    Args:
        model_path: The final model, `age_model.pt`.
        folder: The folder to write; it must not exist, or be empty.

    Raises:
        DataError: There is no such model, or the folder holds something.
    """
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


def _described(model_path: Path) -> dict[str, Any]:
    """What MLflow's pyfunc flavor is told of a final model, after making sure that it is one."""
    load_model(model_path)
    return {
        "loader_module": __name__,
        "data_path": str(model_path),
        "signature": signature(),
        "input_example": input_example(),
        # Else MLflow would load the model in another process to see what it imports.
        "pip_requirements": requirements(),
    }


def requirements() -> list[str]:
    """Name what a server of the model needs, in the installed versions; the detector may miss."""
    # Builds for CUDA call themselves 2.14.1+cu130, and no index has them under that name.
    versions = {name: number.partition("+")[0] for name, number in made_with(*REQUIREMENTS).items()}
    pinned = [f"{name}=={versions[name]}" if name in versions else name for name in REQUIREMENTS]
    return [f"contrastive-age=={__version__}", *pinned]


def _load_pyfunc(path: str) -> ServedModel:
    """What MLflow calls to load the model.

    Args:
        path: The copy of `age_model.pt` in the model's folder.
    """
    return ServedModel(AgeEstimator.load(path))


def _column(photos: pd.DataFrame) -> list[Any]:
    if not isinstance(photos, pd.DataFrame) or COLUMN not in photos:
        raise _refusal(f"photos belong in a column named {COLUMN!r}")
    if not 1 <= len(photos) <= MOST_PHOTOS:
        raise _refusal(f"there are {len(photos)} photos: send 1 to {MOST_PHOTOS} in one request")
    return photos[COLUMN].tolist()


def _file(row: int, text: Any) -> bytes:
    """Decode one row's base64."""
    if not isinstance(text, str):
        raise _refusal(f"it is {type(text).__name__}, no text in base64", row)
    text = "".join(_DATA_URL.sub("", text, count=1).split())
    if not text:
        raise _refusal("it is empty", row)
    if len(text) > MOST_BYTES * 4 / 3 + 4:
        raise _refusal(f"the file has more than {MOST_BYTES / 2**20:.0f} MiB", row)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refusal(f"it is no base64 ({error})", row) from error


def _opened(row: int, file: bytes) -> Image.Image:
    """Read one photo's header."""
    try:
        image = Image.open(io.BytesIO(file), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(row, "far") from error
    except Exception as error:  # on damaged bytes Pillow's decoders raise nearly anything
        known = ", ".join(FORMATS)
        raise _refusal(f"it is no image in one of the formats {known}", row) from error
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(row, f"with {width} x {height}")
    return image


def _too_large(row: int, said: str) -> MlflowException:
    return _refusal(f"it has, {said}, more than {MOST_PIXELS / 1e6:.0f} million pixels", row)


def _check_together(images: Sequence[Image.Image]) -> None:
    pixels = sum(image.width * image.height for image in images)
    if pixels > MOST_PIXELS_AT_ONCE:
        raise _refusal(
            f"the photos have {pixels / 1e6:.0f} million pixels together, more than "
            f"{MOST_PIXELS_AT_ONCE / 1e6:.0f}: send them in several requests"
        )


def _decode(row: int, image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:
        raise _refusal(f"it is a damaged image ({error})", row) from error


def _refusal(reason: str, row: int | None = None) -> MlflowException:
    """Make the error that MLflow's server answers with a 400 and the reason."""
    where = "" if row is None else f"row {row}, column {COLUMN!r}: "
    return MlflowException(where + reason, error_code=INVALID_PARAMETER_VALUE)


def _for_json(table: pd.DataFrame) -> pd.DataFrame:
    """Put None in place of what JSON cannot say."""
    return table.astype(object).mask(table.isna() | table.isin([np.inf, -np.inf]), None)
