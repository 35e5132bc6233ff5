"""UTKFace: labels in the file names, no identities, so every image is an identity of its own.

Layout: chips anywhere below the folder, named `AGE_SEX_RACE_DATETIME.jpg.chip.jpg`. A few names
lack the sex or the race; those images are kept for their age, and the audit lists them. An empty
place (`53__0_...`) and a digit that stands for nothing are missing. Where one digit stands in place
of two (`61_3_...`), 2 to 4 can only be a race; 0 and 1 can be either, so that neither is known.
"""

from pathlib import Path

import pandas as pd

from contrastive_age.sources import reading
from contrastive_age.sources.names import without_suffix

_NAME = r"(?P<age>\d{1,3})_(?:(?P<sex>\d?)_(?P<race>\d?)|(?P<either>\d?))_\d{8,}(?:[^\d].*)?"
_EXAMPLE = "25_1_0_20170109150557335.jpg.chip.jpg"
_EXPECTED = f"<age>_<sex 0 or 1>_<race 0 to 4>_<date and time>, such as {_EXAMPLE}"
_MISSING = (
    "UTKFace belongs there: the aligned and cropped faces (chips), named such as "
    f"{_EXAMPLE}, in this folder or in folders inside it. The data set is for non-commercial "
    "research only: download it from its project page (https://susanqq.github.io/UTKFace/) and "
    "unpack the chips into the folder utkface below raw_root."
)
_SEXES = {"0": "M", "1": "F"}
_RACES = {"0": "White", "1": "Black", "2": "Asian", "3": "Indian", "4": "Others"}


def list_images(folder: Path) -> list[str]:
    """List the images in `folder` and its subfolders, sorted, relative to `folder`.

    Raises:
        DataError: The folder is missing or holds no image.
    """
    return reading.list_images(folder, "", _MISSING)


def read(folder: Path, files: pd.DataFrame) -> reading.Reading:
    """Make the samples table from the names of the images.

    Args:
        folder: The folder that holds the chips.
        files: As `reading.inspect_files` gives it for `list_images(folder)`.

    Returns:
        Samples with `age` in years, `sex` and `race` (missing where the name lacks them) and
        `identity` equal to `sample_id`; and what was rejected.

    Raises:
        DataError: Not one image can be used.
    """
    names, rejected = reading.parse_names(files, _NAME, _EXPECTED)
    alone = names["either"].where(~names["either"].isin(list(_SEXES)))
    rows = names.assign(
        identity=without_suffix(names["path"]),
        sex=names["sex"].map(_SEXES).astype("str"),
        race=names["race"].fillna(alone).map(_RACES).astype("str"),
    )
    others = reading.passed_over(folder, "")
    return reading.finish(rows, [rejected, others], str(folder.absolute()))
