"""AgeDB: number, name, age and sex in the file names.

Layout: photos anywhere below the folder, named `NUMBER_NAME_AGE_SEX.jpg`. The name is the person's;
it is spelled as it stands there, and a few names hold blanks or letters of other alphabets.
"""

from pathlib import Path

import pandas as pd

from contrastive_age.sources import reading

_NAME = r"\d+_(?P<identity>.+)_(?P<age>\d{1,3})_(?P<sex>[mf])"
_EXPECTED = "<number>_<name>_<age>_<m or f>, such as 42_MariaCallas_32_f.jpg"
_MISSING = (
    "AgeDB belongs there: photos named such as 42_MariaCallas_32_f.jpg, in this folder or in "
    "folders inside it. Its authors give it for non-commercial research, on request: ask for it on "
    "its project page (https://ibug.doc.ic.ac.uk/resources/agedb/) and unpack it into the folder "
    "agedb below raw_root."
)


def list_images(folder: Path) -> list[str]:
    """List the images in `folder` and its subfolders, sorted, relative to `folder`.

    Raises:
        DataError: The folder is missing or holds no image.
    """
    return reading.list_images(folder, "", _MISSING)


def read(folder: Path, files: pd.DataFrame) -> reading.Reading:
    """Make the samples table from the names of the images.

    Args:
        folder: The folder that holds the photos.
        files: As `reading.inspect_files` gives it for `list_images(folder)`.

    Returns:
        Samples with `identity`, `age` in years and `sex`; and what was rejected.

    Raises:
        DataError: Not one image can be used.
    """
    names, rejected = reading.parse_names(files, _NAME, _EXPECTED)
    others = reading.passed_over(folder, "")
    rows = names.assign(sex=names["sex"].str.upper())
    return reading.finish(rows, [rejected, others], str(folder.absolute()))
