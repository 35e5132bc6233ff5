"""Files that came in a pack: the list of them beside them, and the check before they are kept.

`kedro pack` writes `packed.json` into each folder whose files its receiver, who has no photos,
cannot make. The nodes that would make them keep them as long as the files are those that were
packed and their own records (see `provenance`) say that they are the wanted ones. Tables are
rewritten by every run, and by other versions of the libraries, so they are known by what they say
and not by their bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from contrastive_age import tables
from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint, replacing
from contrastive_age.provenance import Record

NAME = "packed.json"

AGAIN = "copy the folder from the pack once more"


class Contents(BaseModel):
    """What the list says of the other files of its folder.

    Attributes:
        date: When they were packed.
        counts: How much the files hold.
        digests: Of the files by their names, as `digest` gives them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str
    counts: dict[str, int]
    digests: dict[str, str]


@dataclass(frozen=True)
class Packed:
    """A folder whose files came in a pack."""

    folder: Path
    contents: Contents

    def require(self, record: Record, wanted: Mapping[str, Any]) -> None:
        """Refuse to take the folder's files for others.

        Args:
            record: What they say of themselves.
            wanted: What would decide them now, by name.

        Raises:
            DataError: They are others; the message says in what.
        """
        record.require(
            wanted,
            f"{self.folder} came in a pack and holds other files than are asked for",
            "give the parameters it was packed with (README.txt of the pack), or pack again with "
            "these where the photos are",
        )

    def read(self, *names: str) -> list[Any]:
        """Read tables and documents of the folder.

        Raises:
            DataError: One is missing, damaged or another than was packed.
        """
        return [
            tables.read(path)
            if path.suffix == ".parquet"
            else json.loads(path.read_text(encoding="utf-8"))
            for path in map(self.checked, names)
        ]

    def checked(self, name: str) -> Path:
        """Give a file of the folder, after making sure that it is the one that was packed.

        Raises:
            DataError: It is missing, damaged or another one.
        """
        path = self.folder / name
        try:
            same = digest(path) == self.contents.digests.get(name)
        except FileNotFoundError:
            raise DataError(f"{path} is missing: {AGAIN}") from None
        except Exception as error:  # a damaged file can fail in any way
            why = " ".join(str(error).split())
            raise DataError(f"{path} is damaged ({why}): {AGAIN}") from error
        if not same:
            raise DataError(f"{path} is not the file that was packed: {AGAIN}")
        return path

    def forget(self) -> None:
        """Remove the list: the files are going to be made here."""
        (self.folder / NAME).unlink(missing_ok=True)


def read(folder: Path) -> Packed | None:
    """Read the list of a folder; None where its files did not come in a pack.

    Raises:
        DataError: The list is damaged.
    """
    path = folder / NAME
    try:
        contents = Contents.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, ValidationError) as error:
        raise DataError(f"{path} is damaged: {AGAIN}") from error
    return Packed(folder, contents)


def write(folder: Path, contents: Contents) -> None:
    """Write the list of a folder."""
    with replacing(folder / NAME) as beside:
        beside.write_text(contents.model_dump_json(indent=2) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """Name what a file holds: the values of a table or document, else the bytes.

    Args:
        path: A Parquet table, a JSON document, or anything else.
    """
    if path.suffix == ".parquet":
        table = tables.read(path)
        # What stands for a missing value depends on the version of pandas.
        values = table.astype(object).where(table.notna(), None).to_dict("list")
        return fingerprint(values, table.attrs)
    if path.suffix == ".json":
        return fingerprint(json.loads(path.read_text(encoding="utf-8")))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
