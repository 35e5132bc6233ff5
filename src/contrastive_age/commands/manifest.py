"""Writing a manifest of a folder of photos, by what their names say of ages and people."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from contrastive_age.errors import DataError
from contrastive_age.files import replacing
from contrastive_age.parameters.written import as_text, kedro_run
from contrastive_age.sources import guessing, reading

_SHOWN = 3
"""Rows that are shown of a table."""


@dataclass(frozen=True, eq=False)
class Written:
    """A manifest that was written.

    Attributes:
        path: The file.
        folder: That of the photos, absolute.
        guess: What it holds.
        others: Files in the folder that are no photos.
    """

    path: Path
    folder: Path
    guess: guessing.Guess
    others: int

    def in_words(self) -> list[str]:
        """Say what was guessed, show rows, and what to type next; a line each."""
        table = self.guess.table
        unread = f", {self.others} other files are left out" if self.others else ""
        told = {"age": self._ages(), "identity": self._people()}
        shown = table.iloc[
            sorted({int(i * (len(table) - 1) / (_SHOWN - 1)) for i in range(_SHOWN)})
        ]
        return [
            f"{self.path} lists {len(table)} photos of {self.folder}{unread}",
            *(f"  {name:9} {words}" for name, words in told.items()),
            *_indented(_indented(shown.to_csv(index=False).splitlines())),
            "",
            *self._next(),
        ]

    def _ages(self) -> str:
        ages = pd.to_numeric(self.guess.table["age"])
        if ages.isna().all():
            return f"{self.guess.age}: fill the column in"
        span = f"{ages.min():.0f} to {ages.max():.0f} years in {ages.notna().sum()} photos"
        return f"{self.guess.age}: {span}{_others(ages.notna())}"

    def _people(self) -> str:
        if "identity" not in self.guess.table:
            return f"{self.guess.identity}: every photo counts as another person"
        people = self.guess.table["identity"]
        named = people != ""
        return f"{self.guess.identity}: {people[named].nunique()} people{_others(named)}"

    def _next(self) -> list[str]:
        advice = [
            "If that is not what the names mean, remove the file and say how to read them, such as",
            "  --pattern='(?P<identity>[^/]+)/.*_(?P<age>[0-9]+)'",
        ]
        if not self.guess.table["age"].any():
            return advice
        places = {"raw_root": str(self.folder), "manifest": str(self.path.absolute())}
        params = as_text(places)
        if params is None:
            lines = yaml.safe_dump(places, allow_unicode=True).splitlines()
            return [*advice, "else write into conf/local/parameters.yml", *_indented(lines)]
        pipeline = "custom_se" if "identity" in self.guess.table else "custom_rs"
        return [*advice, "else go on with", f"  {kedro_run(pipeline, params=params)}"]


def _others(known: pd.Series) -> str:
    """Say how many photos lack a label."""
    missing = len(known) - int(known.sum())
    return f"; the {missing} others have none, and will be left out" if missing else ""


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def write(folder: Path, output: Path, pattern: str | None = None) -> Written:
    """Write a manifest of all photos in a folder and its subfolders.

    Args:
        folder: The photos'.
        output: The file to write.
        pattern: A regular expression that reads each path, in place of a guess.

    Raises:
        DataError: The folder holds no photo, the file is there, or the pattern cannot be used.
    """
    if os.path.lexists(output):
        raise DataError(f"{output} is there already; name another file with --output")
    listed = reading.list_images(folder, "", "Name the folder that holds your photos.")
    photos = [path for path in listed if reading.may_be_image(folder / path)]
    guess = guessing.guess(photos) if pattern is None else guessing.read_by(pattern, photos)
    with replacing(output) as beside:
        guess.table.to_csv(beside, index=False, encoding="utf-8")
    return Written(output, folder.absolute(), guess, len(listed) - len(photos))
