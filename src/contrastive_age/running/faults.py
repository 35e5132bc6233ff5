"""Faults of the machine and of a command's choices, in one line that names the remedy."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from kedro.io import DatasetError

from contrastive_age.errors import DataError
from contrastive_age.parameters.loader import ProjectConfigLoader

DATA_ROOT = "name another folder as data_root in conf/local/globals.yml"

REMEDIES = {
    errno.ENOSPC: f"make room, or {DATA_ROOT}",
    errno.EDQUOT: f"make room, or {DATA_ROOT}",
    errno.EFBIG: f"this disk takes no file so large: {DATA_ROOT}",
    errno.EROFS: f"mount it for writing, or {DATA_ROOT}",
    errno.EACCES: f"give yourself the right to it, or {DATA_ROOT}",
    errno.EPERM: f"give yourself the right to it, or {DATA_ROOT}",
    errno.EMFILE: "allow more open files (ulimit -n), or lower folds_at_once",
    errno.EIO: "check the disk, and restore the file from a copy",
    errno.ENOENT: "put it in place, or correct the parameter that names it",
    errno.ENOTDIR: "a file lies where a folder is needed: move it away",
    errno.EISDIR: "a folder lies where a file is needed: move it away",
    errno.EEXIST: "a file lies where a folder is needed: move it away",
}
"""What to do about an error of the operating system."""

DATABASE = {
    "database is locked": "another program holds it: end that one, or wait for it",
    "readonly database": "give yourself the right to write it",
    "unable to open database file": "check that its folder exists and can be written",
    "disk is full": "make room",
    "disk i/o error": "check the disk",
    "file is not a database": "move it away; a new one is made",
    "malformed": "restore it from a copy, or move it away",
}
"""What to do about what SQLite says."""


PATIENCE = 10.0
"""Seconds to wait for another program to finish what it writes into the database of runs."""

CHOICES = {
    "Failed to find the pipeline named": "kedro registry list names the pipelines",
    "Pipeline contains no nodes": "correct --tags, --namespaces or --nodes",
    "Pipeline does not contain": "correct --namespaces, --nodes, --from-nodes or the like",
    "Given configuration path": "correct --env or --conf-source",
    "Invalid YAML or JSON file": "correct that line, counted from 0",
}
"""How Kedro's messages about what a user chose begin, and what to do."""


def explain(error: BaseException) -> str | None:
    """Say in one line what is wrong with a file, and what to do.

    Args:
        error: Any error.

    Returns:
        The line; None where neither the error nor one that led to it is a fault of a file, a disk,
        the database of runs, or a choice that Kedro refuses.
    """
    chain = list(_chain(error))
    for own in reversed(chain):
        said = _database(str(own)) or _system(own, chain) or _choice(str(own))
        if said is not None:
            return said
    return next(filter(None, map(_dataset, chain)), None)


def check_database() -> None:
    """Make sure that the database of runs can be read, where it is a file of this machine.

    MLflow itself would try for minutes, and print each trial's stack trace.

    Raises:
        DataError: It is locked, damaged or no database.
    """
    uri = _tracking_uri()
    path = uri.removeprefix("sqlite:///")
    if "://" in path or not Path(path).is_file():
        return
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE)
        try:
            connection.execute("select count(*) from sqlite_master")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DataError(_database(str(error)) or f"MLflow's database {uri}: {error}") from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it.

    What was being handled when an error came up did not lead to it, unless that says so. torch's
    writer alone does not say it: its RuntimeError follows from the system's error.
    """
    while error is not None:
        yield error
        context = error.__context__ if isinstance(error, RuntimeError) else None
        error = error.__cause__ or context


def _database(said: str) -> str | None:
    for sign, remedy in DATABASE.items():
        if sign in said.lower() and re.search(r"sqlite|sqlalchemy|database", said, re.IGNORECASE):
            return (
                f"MLflow's database {_tracking_uri()}: {sign}; {remedy}, or set MLFLOW_TRACKING_URI"
            )
    return None


def _choice(said: str) -> str | None:
    for beginning, remedy in CHOICES.items():
        if said.startswith(beginning):
            return f"{' '.join(said.split())} Remedy: {remedy}."
    return None


def _tracking_uri() -> str:
    given = os.environ.get("MLFLOW_TRACKING_URI")
    loader = ProjectConfigLoader.latest
    root = Path.cwd() if loader is None else loader.root
    return given or str(root / "mlflow.db")


def _system(error: BaseException, chain: list[BaseException]) -> str | None:
    number = error.errno if isinstance(error, OSError) else _number_in_message(error)
    if number is None or number not in REMEDIES:
        return None
    path = getattr(error, "filename2", None) or getattr(error, "filename", None)
    path = _file_of_dataset(chain) if path is None else os.fsdecode(path)
    # What is written beside a file and renamed is a stage of that file.
    name = (
        ""
        if path is None
        else re.sub(r"(^|/)\.([^/]+)\.\d+(?:-[0-9a-f]+)?(\.\w+)$", r"\1\2\3", path) + ": "
    )
    return f"{name}{os.strerror(number)}; {REMEDIES[number]}"


def _number_in_message(error: BaseException) -> int | None:
    """The number that Kedro quotes: another process does not send the system's error along."""
    found = re.search(r"\[Errno (\d+)\]", str(error)) if isinstance(error, DatasetError) else None
    return int(found[1]) if found else None


def _file_of_dataset(chain: list[BaseException]) -> str | None:
    """The file that Kedro's message names; writers in other languages do not say it."""
    for error in chain:
        found = re.search(r"filepath=(?:\w+\()?'?([^',)]+)", str(error))
        if found:
            return found[1]
    return None


def _dataset(error: BaseException) -> str | None:
    """What Kedro says of a file that it cannot read or write."""
    if not isinstance(error, DatasetError):
        return None
    said = " ".join(str(error).split())
    return f"{said} Run all of the pipeline: what is missing or damaged is made again."
