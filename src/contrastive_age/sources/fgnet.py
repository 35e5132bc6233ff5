"""The FG-NET ageing database: labels in the file names, 68 landmarks an image beside them.

Layout: `images/001A02.JPG` is identity 001 at age 2, `images/001A43a.JPG` one of several at age 43;
`points/001a02.pts` holds the landmarks. All names are matched without regard to case.
"""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.sources import reading

logger = logging.getLogger(__name__)

PHOTOS = "images"
"""The folder that holds the photos."""

LANDMARK_COLUMNS = [
    f"{point}_{axis}"
    for point in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    for axis in "xy"
]
"""The five points of a face, each as x and y in pixels of the original image."""

_NAME = r"(?P<identity>\d{3,})A(?P<age>\d{2,3})[a-z]?"
_EXPECTED = "<identity>A<age>[letter], such as 001A02.JPG or 001A43a.JPG"
_MISSING = (
    "FG-NET belongs there: images/ with files such as 001A02.JPG and, beside it, points/ with "
    "files such as 001a02.pts. It is a public ageing database: download it (search for 'FG-NET "
    "aging database') and unpack images/ and points/ into the folder fgnet below raw_root."
)
_POINTS = 68
_ROWS = (31, 36, 67, 48, 54)  # of the .pts file: left pupil, right pupil, nose tip, mouth corners


def list_images(folder: Path) -> list[str]:
    """List the images below `folder/images`, sorted, relative to `folder`.

    Raises:
        DataError: The folder is missing or holds no image.
    """
    return reading.list_images(folder, reading.subfolder(folder, PHOTOS), _MISSING)


def read(folder: Path, files: pd.DataFrame) -> reading.Reading:
    """Make the samples table from the names of the images.

    Args:
        folder: The folder that holds `images`.
        files: As `reading.inspect_files` gives it for `list_images(folder)`.

    Returns:
        Samples with `identity` (three digits) and `age` in years, and what was rejected.

    Raises:
        DataError: Not one image can be used.
    """
    rows, rejected = reading.parse_names(files, _NAME, _EXPECTED)
    others = reading.passed_over(folder, reading.subfolder(folder, PHOTOS))
    return reading.finish(rows, [rejected, others], str(folder.absolute()))


def read_points(folder: Path, samples: pd.DataFrame) -> pd.DataFrame:
    """Read the annotated landmarks that detection can be measured against, or fall back on.

    Args:
        folder: The folder that holds `points`.
        samples: The samples table; the .pts file is found by the name of the image.

    Returns:
        `sample_id` and the ten `LANDMARK_COLUMNS` (float64, pixels of the original image; left is
        the smaller x). Samples without a usable .pts file are absent; the reason is logged.
    """
    points = folder / reading.subfolder(folder, "points")
    if not points.is_dir():
        logger.warning("No annotated landmarks: the folder %s does not exist.", points)
        samples = samples.head(0)
    annotated = {
        path.stem.lower(): path
        for path in points.glob("*")
        if path.suffix.lower() == ".pts" and path.is_file()
    }
    points_of: dict[str, npt.NDArray[np.float64]] = {}
    for sample_id, image in zip(samples["sample_id"], samples["path"], strict=True):
        name = Path(image).stem.lower()
        if name not in annotated:
            logger.warning("%s has no annotated landmarks: no %s.pts in %s.", image, name, points)
            continue
        try:
            points_of[sample_id] = _five_points(annotated[name])
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used: %s.", annotated[name], error)
    ids = pd.Index(points_of, dtype="str", name="sample_id")
    values = np.array(list(points_of.values()), dtype=np.float64).reshape(len(ids), 10)
    return pd.DataFrame(values, ids, LANDMARK_COLUMNS).reset_index()


def _five_points(path: Path) -> npt.NDArray[np.float64]:
    """Read a .pts file into the ten values of `LANDMARK_COLUMNS`."""
    _, brace, body = path.read_text(encoding="ascii").partition("{")
    values = np.array(body.partition("}")[0].split(), dtype=np.float64)
    if not brace or values.size != 2 * _POINTS or not np.isfinite(values).all():
        raise ValueError(f"it does not hold {_POINTS} points between braces, x and y on each line")
    pupils, nose, corners = np.split(values.reshape(-1, 2)[list(_ROWS)], [2, 3])
    pupils, corners = (pair[pair[:, 0].argsort(kind="stable")] for pair in (pupils, corners))
    return np.concatenate([pupils, nose, corners]).ravel()
