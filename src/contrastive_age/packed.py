"""Files that came in a pack: the record beside them, and the check before they are kept.

`kedro pack` writes `packed.json` into each folder whose files its receiver, who has no photos,
cannot make. The nodes that would make them keep them as long as the record's parameters are asked
for and the files are those that were packed. Tables are rewritten by every run, and by other
versions of the libraries, so they are known by what they say and not by their bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint, replacing
from contrastive_age.params import Strict
from contrastive_age.provenance import code_digest

NAME = "packed.json"

AGAIN = "copy the folder from the pack once more"


class Record(Strict):
    """What a record says of the other files of its folder.

    Attributes:
        packed: When, and the versions of code and libraries there.
        counts: How much the files hold.
        asked_for: The parameters and inputs that decide them.
        digests: Of the files by their names, as `digest` gives them.
    """

    packed: dict[str, str]
    counts: dict[str, int]
    asked_for: dict[str, Any]
    digests: dict[str, str]


@dataclass(frozen=True)
class Packed:
    """A folder whose files came in a pack."""

    folder: Path
    record: Record

    def asks_otherwise(self, **asked_for: Any) -> list[str]:
        """Name the values asked for that differ from those packed with, each with both values."""
        packed = self.record.asked_for
        return [
            f"{name} was {packed.get(name)} and is now {value}"
            for name, value in asked_for.items()
            if packed.get(name) != value
        ]

    def require(self, **asked_for: Any) -> None:
        """Refuse to take the folder's files for those of other values.

        Raises:
            DataError: A value is not that with which the files were packed.
        """
        differing = self.asks_otherwise(**asked_for)
        if differing:
            raise DataError(
                f"{self.folder} came in a pack and holds other files than are asked for: "
                f"{'; '.join(differing)}. Give the parameters it was packed with (README.txt of "
                "the pack), or pack again with these where the photos are"
            )

    def checked(self, name: str) -> Path:
        """Give a file of the folder, after making sure that it is the one that was packed.

        Raises:
            DataError: It is missing, damaged or another one.
        """
        path = self.folder / name
        try:
            same = digest(path) == self.record.digests.get(name)
        except FileNotFoundError:
            raise DataError(f"{path} is missing: {AGAIN}") from None
        except Exception as error:  # a damaged file can fail in any way
            raise DataError(f"{path} is damaged ({error}): {AGAIN}") from error
        if not same:
            raise DataError(f"{path} is not the file that was packed: {AGAIN}")
        return path

    @property
    def other_code(self) -> bool:
        """Whether the code that makes such files has changed since."""
        return self.record.packed.get("code") != code()

    def forget(self) -> None:
        """Remove the record: the files are going to be made here."""
        (self.folder / NAME).unlink(missing_ok=True)


@cache
def code() -> str:
    """Name the code that makes samples, faces and folds."""
    root = Path(__file__).parent
    return code_digest([root / package for package in ("faces", "protocols", "sources")])


def read(folder: Path) -> Packed | None:
    """Read the record of a folder; None where its files did not come in a pack.

    Raises:
        DataError: The record is damaged.
    """
    path = folder / NAME
    try:
        record = Record.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, ValidationError) as error:
        raise DataError(f"{path} is damaged: {AGAIN}") from error
    return Packed(folder, record)


def write(folder: Path, record: Record) -> None:
    """Write the record of a folder."""
    with replacing(folder / NAME) as beside:
        beside.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """Name what a file holds: the values of a table or document, else the bytes.

    Args:
        path: A Parquet table, a JSON document, or anything else.
    """
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        # What stands for a missing value depends on the version of pandas.
        values = table.astype(object).where(table.notna(), None).to_dict("list")
        return fingerprint(values, table.attrs)
    if path.suffix == ".json":
        return fingerprint(json.loads(path.read_text(encoding="utf-8")))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
