"""Writing a manifest of a folder of photos, by what their names say of ages and people."""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from kedro.utils import find_kedro_project

from contrastive_age.errors import DataError
from contrastive_age.files import replacing
from contrastive_age.parameters.loader import project_parameters
from contrastive_age.parameters.written import as_text, kedro_run
from contrastive_age.reporting.wording import counted
from contrastive_age.sources import guessing, identities, manifest, reading

_SHOWN = 3
"""Rows that are shown of a table."""
_FEWEST = 2
"""Folds of a cross-validation."""
_LOST = "a table cannot name it: take blanks at the ends, backslashes or stray bytes out"


@dataclass(frozen=True, eq=False)
class Written:
    """A manifest that was written.

    Attributes:
        path: The file.
        folder: That of the photos, absolute.
        guess: What it holds.
        others: Files in the folder that are no photos.
        refused: `path` and `reason` (str) of the photos that no run would take from it, even if
            they had labels; with the index of `guess.table`.
    """

    path: Path
    folder: Path
    guess: guessing.Guess
    others: int
    refused: pd.DataFrame

    def in_words(self) -> list[str]:
        """Say what was guessed, show rows, and what to type next; a line each."""
        table = self.guess.table
        unread = f", {_left_out(self.others, 'other file')}" if self.others else ""
        told = {"age": self._ages(), "identity": self._people()}
        if len(self.refused):
            number = counted(len(self.refused), "photo")
            told["unusable"] = f"{number}: {reading.commonest(self.refused)}"
        shown = table.iloc[
            sorted({int(i * (len(table) - 1) / (_SHOWN - 1)) for i in range(_SHOWN)})
        ]
        return [
            f"{self.path} lists {counted(len(table), 'photo')} of {self.folder}{unread}",
            *(f"  {name:9} {words}" for name, words in told.items()),
            *_indented(_indented(shown.to_csv(index=False).splitlines())),
            "",
            *self._next(),
        ]

    def _ages(self) -> str:
        ages = pd.to_numeric(self.guess.table["age"])
        if ages.isna().all():
            return f"{self.guess.age}: fill the column in"
        span = f"{ages.min():.0f} to {ages.max():.0f} years in "
        return f"{self.guess.age}: {span}{counted(ages.count(), 'photo')}{_without(ages.isna())}"

    def _people(self) -> str:
        if "identity" not in self.guess.table:
            return f"{self.guess.identity}: every photo counts as another person"
        people = self.guess.table["identity"]
        if not people.any():
            return f"{self.guess.identity}: fill the column in, or remove it"
        return f"{self.guess.identity}: {_number_of_people(people)} people{_without(people == '')}"

    def _next(self) -> list[str]:
        advice = [
            "If that is not what the names mean, remove the file and say how to read them, such as",
            "  --pattern='(?P<identity>[^/]+)/.*_(?P<age>[0-9]+)'",
        ]
        table = self.guess.table
        usable = table[(table != "").all(axis="columns")].drop(self.refused.index, errors="ignore")
        if usable.empty:
            return advice
        named = "identity" in usable
        pipeline, units = ("custom_se", "people") if named else ("custom_rs", "photos")
        number = _number_of_people(usable["identity"]) if named else len(usable)
        places: dict[str, Any] = {
            "raw_root": _as_parameter(self.folder),
            "manifest": _as_parameter(self.path.absolute()),
        }
        go_on = "else go on with"
        folds = project_parameters()["protocols"][pipeline]["folds"]
        if number < folds:
            if number < _FEWEST:
                return [*advice, f"else add photos: {pipeline} needs several {units}"]
            places["protocols"] = {pipeline: {"folds": number}}
            go_on = f"else add photos, or go on with fewer folds: {folds} need as many {units}"
        params = as_text(places)
        if params is None:
            lines = yaml.safe_dump(places, allow_unicode=True, width=math.inf).splitlines()
            return [
                *advice,
                f"{go_on}; write into conf/local/parameters.yml",
                *_indented(lines),
                "and type",
                f"  {kedro_run(pipeline)}",
            ]
        return [*advice, go_on, f"  {kedro_run(pipeline, params=params)}"]


def _number_of_people(names: pd.Series) -> int:
    return int(names[names != ""].map(identities.key).nunique())


def _left_out(number: int, what: str) -> str:
    return f"{counted(number, what)} {'is' if number == 1 else 'are'} left out"


def _without(missing: pd.Series) -> str:
    """Say how many photos lack a label."""
    number = int(missing.sum())
    return f"; {counted(number, 'photo')} without one will be left out" if number else ""


def _as_parameter(path: Path) -> str:
    """Write a path as a parameter: relative ones start at the project's root."""
    root = find_kedro_project(Path.cwd())
    return str(path.relative_to(root) if root and path.is_relative_to(root) else path)


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
    refused = _refused(guess.table, folder)
    return Written(output, folder.absolute(), guess, len(listed) - len(photos), refused)


def _refused(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Find the photos whose path or person a run would not read back as it is meant."""
    with tempfile.TemporaryDirectory() as place:
        written = Path(place, "manifest.csv")
        # What is empty can be filled in.
        table.replace("", "1").to_csv(written, index=False, encoding="utf-8")
        named = pd.Series(manifest.list_images(written, folder), dtype="str")
        lost = named.isin(table["path"]).map({True: "", False: _LOST})
        files = pd.DataFrame({"path": named, "problem": lost})
        # The reader strips blanks from the paths.
        refused = manifest.refused(written, folder, files)
        return refused.assign(path=table.loc[refused.index, "path"])
