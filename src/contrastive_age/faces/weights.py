"""The weights of MTCNN, which come with the package `mtcnn`.

They are read from its files: to import it would import TensorFlow.
"""

import hashlib
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contrastive_age.errors import DataError

WEIGHTS = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""SHA-256 of the files of weights; they are pickles, and only these are opened."""


def read_weights(name: str) -> list[npt.NDArray[np.float32]]:
    """Read one network's weights, in the order and layout of TensorFlow.

    Args:
        name: A key of `WEIGHTS`.

    Raises:
        DataError: The package `mtcnn` is missing, or the file is another.
    """
    import joblib

    try:
        package = distribution("mtcnn")
    except PackageNotFoundError as error:
        raise DataError(
            "faces are found with the weights of the package mtcnn, which is not installed: "
            "python -m pip install mtcnn==1.0.0"
        ) from error
    path = Path(str(package.locate_file(f"mtcnn/assets/weights/{name}.lz4")))
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != WEIGHTS[name]:
        raise DataError(
            f"{path} does not hold the weights of mtcnn 1.0.0: "
            "python -m pip install --force-reinstall --no-deps mtcnn==1.0.0"
        )
    return list(joblib.load(io.BytesIO(content)))
