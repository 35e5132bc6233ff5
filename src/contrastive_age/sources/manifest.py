"""Any data set, listed in a table: `path,age` and optionally `identity,sex,race`.

Without a column `identity` every photo is a person of its own. The table is any that `delimited`
reads. Paths are relative to the raw data folder or to the manifest's own folder, or absolute but
inside it; backslashes count as slashes. Paths that leave that folder, themselves or through a link,
are refused unless the user allows them. A path that does not exist as written is looked for in
another case or Unicode form.
"""

import functools
import logging
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.sources import delimited, identities, labels, reading
from contrastive_age.sources.ages import AGE_MAX, AGE_MIN
from contrastive_age.sources.names import folded, without_suffix

logger = logging.getLogger(__name__)

OUTSIDE = (
    "the path lies outside the data folder or holds '..', itself or through a link; put the photo "
    "inside, or give --params=allow_outside_raw_root=true"
)
SEVERAL = "no file is called so, and in another case or Unicode form several are"

_NEEDED = ("path", "age")
_CALLED = {
    "path": {"file", "filename", "filepath", "image", "imagepath", "img", "imgpath", "photo"}
    | {"picture", "pic"},
    "identity": {"id", "idnum", "identityid", "name", "celebrity", "who"}
    | {
        who + ending
        for who in ("person", "subject", "participant", "patient", "individual", "user", "client")
        for ending in ("", "id", "name", "number", "no")
    }
    | {"pid", "sid", "uid", "faceid"},
    "age": {"label", "ages", "years", "target", "ageyears", "realage", "apparentage"},
}
"""What others call the columns, letters and digits alone."""
_SHOWN = 5
_NEVER_LISTED = ("/", "..")
_RANGE = f"from {AGE_MIN} to {AGE_MAX}"


def source_key(name: str, manifest_digest: str | None) -> str:
    """Name a source's folders, such as `fgnet`, or `custom-1a2b3c4d` by its manifest's content."""
    return name if manifest_digest is None else f"{name}-{manifest_digest[:8]}"


def siblings(folder: Path, name: str) -> list[Path]:
    """The folders of all manifests of a source, beside one of them.

    Args:
        folder: Of one of them, as `source_key` names it.
        name: The source's.
    """
    keys = re.compile(rf"{re.escape(name)}-[0-9a-f]{{8}}")
    return sorted(path for path in folder.parent.iterdir() if keys.fullmatch(path.name))


def base_folder(manifest: Path, raw_root: Path, *, outside: bool = False) -> Path:
    """Find the folder that the manifest's paths are relative to.

    Args:
        manifest: The table.
        raw_root: The raw data folder.
        outside: Whether paths may leave the folder.

    Returns:
        `raw_root` or the manifest's own folder: the first below which the first path of the table
        exists, or the next path where the first exists below neither. Where none does as written,
        the same in another case or Unicode form; `raw_root` if there is none then.

    Raises:
        DataError: The table is missing, empty, no text, or lacks a column.
    """
    texts = _listed(manifest)["path"]
    bases = (raw_root, manifest.parent)
    searched = [finder(base, outside=outside) for base in bases]
    as_written: list[Callable[[str], list[str]]] = [lambda path: [path]] * len(bases)
    for finders in (as_written, searched):
        for text in texts:
            for base, find in zip(bases, finders, strict=True):
                path = _relative(text, base, outside)
                fits = [] if path is None else find(path)
                # Path.is_file raises where a name is too long, or a folder closed.
                if any(os.path.isfile(base / fit) for fit in fits):  # noqa: PTH113
                    return base
    return raw_root


def list_images(manifest: Path, base: Path, *, outside: bool = False) -> list[str]:
    """List the files that the manifest names inside `base`, whether they exist or not.

    A file that the manifest writes in another case or Unicode form is listed as it is called.

    Args:
        manifest: The table.
        base: As `base_folder` gives it.
        outside: Whether paths may leave `base`; they are then listed, too.

    Returns:
        Posix paths relative to `base`, sorted, each once.

    Raises:
        DataError: The table is missing, empty, no text, or lacks a column.
    """
    paths = _listed(manifest)["path"]
    return sorted(set(_locate(paths, base, outside)["file"].dropna()))


def read(
    manifest: Path,
    base: Path,
    files: pd.DataFrame,
    *,
    outside: bool = False,
    round_ages: bool = False,
) -> reading.Reading:
    """Make the samples table from the rows of the manifest.

    Args:
        manifest: The table.
        base: As `base_folder` gives it.
        files: As `reading.inspect_files(base, list_images(manifest, base))` gives it.
        outside: Whether paths may leave `base`.
        round_ages: Whether ages that are no whole numbers are rounded; else they are rejected.

    Returns:
        Samples with `identity` (leading zeros stay), `age` in years and, where the table
        holds any, `sex` and `race`. Each row that cannot be used is rejected with its line in the
        file, the header being line 1. Paths found in another case or Unicode form are listed.

    Raises:
        DataError: The table is missing, empty, no text, or lacks a column; or no row can be used.
    """
    table = _judged(manifest, base, files, outside=outside, round_ages=round_ages)
    place = f"{manifest.absolute()} (its paths relative to {base.absolute()})"
    if "identity" not in table:
        logger.warning(
            "%s: no column identity, so every photo counts as another person. Where people have "
            "several, they are in training and test, and the error that is measured is too small",
            place,
        )
    bad = table[table["reason"] != ""]
    rejected = reading.rejections(
        bad["path"], bad["reason"] + " (row " + bad["row"].astype("str") + ")"
    )
    good = table.drop(bad.index)
    ages = labels.rounded(good["years"]).astype("int64")
    rows = pd.DataFrame({"path": good["file"], "age": ages}).join(good.filter(["identity"]))
    source = reading.finish(rows.join(_optional(good)), [rejected], place)
    return replace(
        source,
        found_otherwise=_found_otherwise(table, place),
        ages_rounded=_ages_rounded(good.assign(rounded=ages), place),
    )


def refused(manifest: Path, base: Path, files: pd.DataFrame) -> pd.DataFrame:
    """Say which rows `read` would not use.

    Args:
        manifest: The table.
        base: As `base_folder` gives it.
        files: `path` and `problem` (str) of each file that the table may name.

    Returns:
        `path` as it is written, and `reason` (both str), one row for each; its place among the
        table's rows is the index.

    Raises:
        DataError: The table is missing, empty, no text, or lacks a column.
    """
    table = _judged(manifest, base, files, outside=False, round_ages=False)
    return table.loc[table["reason"] != "", ["path", "reason"]]


def _judged(
    manifest: Path, base: Path, files: pd.DataFrame, *, outside: bool, round_ages: bool
) -> pd.DataFrame:
    """Read the table, and beside each row its file, its age and why it cannot be used."""
    table = _listed(manifest)
    table[["file", "fault", "otherwise"]] = _locate(table["path"], base, outside)
    table["years"] = labels.ages(table["age"])
    return table.assign(reason=_reasons(table, files, round_ages))


def _listed(manifest: Path) -> pd.DataFrame:
    """Read the table.

    Raises:
        DataError: As for `delimited.read`; or no column is called `identity`, and another looks as
            if it were the one: people that are taken for several would be trained and tested on.
    """
    table = delimited.read(manifest, _NEEDED, _CALLED)
    persons = delimited.alike(map(str, table), _CALLED["identity"])
    if "identity" not in table and persons:
        raise DataError(
            f"The table {manifest.absolute()} has no column identity. Is {persons[0]!r} the "
            "identity? Then name it so; else remove it, and every photo is a person of its own."
        )
    return table


def _ages_rounded(good: pd.DataFrame, place: str) -> pd.DataFrame:
    """List the ages that are no whole numbers as written."""
    changed = good[good["years"] != good["rounded"]]
    if len(changed):
        logger.info(
            "%s: %d of %d ages are no whole numbers and are rounded, halves up.",
            place,
            len(changed),
            len(good),
        )
    rows = changed[["file", "age", "rounded"]]
    return rows.set_axis(["path", "written", "age"], axis="columns").reset_index(drop=True)


def _found_otherwise(table: pd.DataFrame, place: str) -> pd.DataFrame:
    """List the paths that lead to a file in another case or Unicode form alone."""
    rows = table.loc[table["otherwise"], ["path", "file"]].drop_duplicates()
    if len(rows):
        logger.warning(
            "%s: %d paths are of files in another case or Unicode form, such as %r of %r.",
            place,
            len(rows),
            *rows.iloc[0],
        )
    return rows.set_axis(["written", "found"], axis="columns").reset_index(drop=True)


def _reasons(table: pd.DataFrame, files: pd.DataFrame, round_ages: bool) -> pd.Series:
    """Say for each row why it cannot be used, "" where it can; the first reason found counts."""
    # No file of the table may be known, and then the column holds no text.
    problems = table["file"].map(files.set_index("path")["problem"]).astype("str").fillna("")
    # Photos that are people of their own are called as their files, and none is nobody.
    named = table.get("identity", pd.Series("somebody", index=table.index, dtype="str"))
    nobody = identities.faults(named)
    age, years = "age '" + table["age"] + "' is not a ", table["years"]
    in_range = years.between(AGE_MIN, AGE_MAX)
    broken = in_range & (years % 1 != 0) & (not round_ages)
    number = "number" if round_ages else "whole number"
    checks: list[tuple[pd.Series, pd.Series | str]] = [
        (
            table["surplus"],
            "the row has more values than the header has columns; put a value that holds the "
            "separator in quotation marks",
        ),
        (table["path"] == "", "the path is empty"),
        (table["fault"] != "", table["fault"]),
        (nobody != "", nobody),
        (~in_range, age + f"{number} {_RANGE}"),
        (broken, age + f"whole number {_RANGE}; --params=age=round rounds it"),
        (problems != "", f"{reading.UNREADABLE}: " + problems),
    ]
    reasons = pd.Series("", index=table.index, dtype="str")
    for failed, reason in checks:
        reasons = reasons.mask(failed & (reasons == ""), reason)
    usable = table[reasons == ""]
    ids = without_suffix(usable["file"])
    first = usable["row"].groupby(ids).transform("first")
    again = first != usable["row"]
    where = first[again].astype("str")
    reasons.update("the path, or the same but for its suffix, stands already in row " + where)
    return reasons


def _optional(good: pd.DataFrame) -> pd.DataFrame:
    """Take the optional columns that hold anything, with missing values where they are empty."""
    written = good.reindex(columns=["sex", "race"], fill_value="")
    sexes = labels.sexes(written["sex"])
    unknown = written["sex"].ne("") & sexes.isna()
    if unknown.any():
        logger.warning(
            "In %d rows the sex is none of F, M, female, male and counts as missing, such as %s.",
            unknown.sum(),
            ", ".join(map(repr, sorted(set(good.loc[unknown, "sex"]))[:_SHOWN])),
        )
    columns = written.mask(written == "").assign(sex=sexes)
    return columns[[name for name in columns if (written[name] != "").any()]]


def _locate(paths: pd.Series, base: Path, outside: bool) -> pd.DataFrame:
    """Find the file of each row.

    Args:
        paths: As the table writes them.
        base: As `base_folder` gives it.
        outside: Whether paths may leave `base`.

    Returns:
        With the same index, `file` (its path relative to `base`, which need not exist; missing
        where there is a fault), `fault` (why no file is taken, or "") and `otherwise` (whether the
        file is called otherwise than it is written).
    """
    find = finder(base, outside=outside)
    located = [_file(_relative(path, base, outside), find) for path in paths]
    table = pd.DataFrame(located, columns=["file", "fault", "otherwise"], index=paths.index)
    table = table.astype({"file": "str", "fault": "str", "otherwise": "bool"})
    if not outside:
        leaving = _led_outside(table["file"], base)
        table.loc[leaving, ["file", "fault", "otherwise"]] = [None, OUTSIDE, False]
    return table


def _file(path: str | None, find: Callable[[str], list[str]]) -> tuple[str | None, str, bool]:
    """Give the values of `_locate` for one path, but for links that lead outside."""
    if path is None:
        return None, OUTSIDE, False
    fits = find(path) or [path]
    if len(fits) > 1:
        return None, f"{SEVERAL}: {', '.join(map(repr, fits))}; write one of them", False
    return fits[0], "", fits[0] != path


def _relative(text: str, base: Path, outside: bool) -> str | None:
    """Bring a path into the form relative to `base`; None where it is empty or leaves `base`."""
    path = PurePosixPath(text.replace("\\", "/"))
    if not text or (".." in path.parts and not outside):
        return None
    path = PurePosixPath(posixpath.normpath(path))
    if not path.is_absolute():
        return path.as_posix()
    for folder in (base.absolute(), base.resolve()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.as_posix() if outside else None


def _led_outside(files: pd.Series, base: Path) -> pd.Series:
    """Whether links lead a path that is written as one inside `base` out of it.

    Args:
        files: Paths relative to `base`, missing where there is none.
        base: The folder.
    """
    root = os.path.realpath(base)

    @functools.cache  # a table names many files and few folders
    def folder_of(parent: str) -> str:
        return os.path.realpath(posixpath.join(root, parent))

    def leaves(file: str) -> bool:
        parent, name = posixpath.split(file)
        try:
            place = posixpath.join(folder_of(parent), name)
            if os.path.islink(place):  # noqa: PTH114 - a million paths
                place = os.path.realpath(place)
        except ValueError:  # a zero byte: there is no such file anywhere
            return False
        return not _is_inside(place, root)

    left = [isinstance(file, str) and leaves(file) for file in files]
    return pd.Series(left, index=files.index, dtype="bool")


def finder(base: Path, *, outside: bool = False) -> Callable[[str], list[str]]:
    """Make a function that looks paths up below a folder.

    It lists each folder once and asks for no single file. As the names are those that the folders
    list, it also tells how a file is called where the file system takes any case.

    Args:
        base: The folder that the paths are relative to.
        outside: Whether folders outside `base` are looked into.

    Returns:
        A function from a posix path to the paths that fit: the path alone where it exists as it is
        written, else all that differ from it in case or Unicode form, in any of their parts; none
        where there is none, or where a folder cannot be listed. It never raises.
    """
    root = os.path.realpath(base)

    @functools.cache
    def names(folder: str) -> dict[str, list[str]]:
        listed = defaultdict(list)
        try:
            place = os.path.realpath(posixpath.join(root, folder))
            if outside or _is_inside(place, root):
                for name in sorted(os.listdir(place)):  # noqa: PTH208 - names, no paths, of millions
                    listed[folded(name)].append(name)
        except (OSError, ValueError):  # no folder, a closed one, or a zero byte
            pass
        return listed

    def below(places: list[str], part: str) -> list[str]:
        return [
            posixpath.join(place, name)
            for place in places
            for name in ([part] if part in _NEVER_LISTED else names(place).get(folded(part), []))
        ]

    @functools.cache
    def folders(path: str) -> list[str]:
        return functools.reduce(below, PurePosixPath(path).parts, [""])

    def find(path: str) -> list[str]:
        parent, name = posixpath.split(path)
        fits = below(folders(parent), name)
        return [path] if path in fits else fits

    return find


def _is_inside(place: str, root: str) -> bool:
    """Whether a path, free of links, is that of a folder or lies in it."""
    return place == root or place.startswith(posixpath.join(root, ""))
