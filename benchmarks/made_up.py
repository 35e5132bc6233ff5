"""Tables and faces of any size: labels like those of MORPH II, pixels of noise."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

PICTURES = 4
"""Of each identity, as in MORPH II."""

FACE_BYTES = 256 * 256 * 3


def labels(
    rows: int, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give ages (16 to 77 years), identity numbers and picture numbers, (rows,) each.

    An identity has `PICTURES` pictures, a year apart or none.
    """
    rng = np.random.default_rng(seed)
    identity, picture = np.divmod(np.arange(rows), PICTURES)
    first = 16 + 58 * rng.beta(1.4, 2.9, identity[-1] + 1)
    age = (
        first[identity].astype(np.int64) + picture * rng.integers(0, 2, identity[-1] + 1)[identity]
    )
    return age, identity, picture


def samples(rows: int) -> pd.DataFrame:
    """Give a table of samples as MORPH II's reader makes it."""
    age, identity, picture = labels(rows)
    names = pd.Series([f"{number:08d}" for number in range(identity[-1] + 1)], dtype="str")
    name = names.iloc[identity].reset_index(drop=True)
    sample_id = "Album2/" + name + "_" + pd.Series(picture).astype("str")
    return pd.DataFrame(
        {
            "sample_id": sample_id,
            "path": sample_id + ".JPG",
            "identity": name,
            "age": age,
            "sex": pd.Series(np.array(["F", "M"])[identity % 2], dtype="str"),
            "capture": picture,
        }
    )


def write_faces(path: Path, rows: int) -> npt.NDArray[np.uint8]:
    """Write an array of noise in place of aligned faces, and map it."""
    faces = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 256, 256, 3))
    rng = np.random.default_rng(0)
    for row in range(rows):
        faces[row] = rng.integers(0, 256, (256, 256, 3), np.uint8)
    faces.flush()
    mapped: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return mapped
