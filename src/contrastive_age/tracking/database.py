"""The database of runs, where it is a file of this machine: made whole, and not found broken."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from contrastive_age.errors import DataError
from contrastive_age.files import DAY, remove_unfinished, unfinished
from contrastive_age.parameters.loader import ProjectConfigLoader, tracking_uri
from contrastive_age.paths import SQLITE, sqlite_path, sqlite_uri

PATIENCE = 10.0
"""Seconds to wait for another program to finish what it writes into the database of runs."""

LOCKED = "database is locked; another program holds it: end that one, or wait for it"

REMEDIES = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: "readonly database; give yourself the right to write it",
    sqlite3.SQLITE_CANTOPEN: "unable to open database file; "
    "check that its folder exists and can be written",
    sqlite3.SQLITE_FULL: "disk is full; make room",
    sqlite3.SQLITE_IOERR: "disk i/o error; check the disk",
    sqlite3.SQLITE_NOTADB: "file is not a database; move it away; a new one is made",
    sqlite3.SQLITE_CORRUPT: "malformed; restore it from a copy, or move it away",
}
"""What SQLite's codes mean, and what to do."""


def explain(error: BaseException) -> str | None:
    """Say in one line what is wrong with the database, and what to do.

    Args:
        error: Of SQLite, or of SQLAlchemy about it; any other is none of the database.
    """
    error = getattr(error, "orig", error)
    # The lowest byte is the kind; what is above it tells kinds of kinds apart.
    remedy = REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return remedy and f"MLflow's database {_place()}: {remedy}, or set MLFLOW_TRACKING_URI"


def prepare() -> None:
    """Make the database where it is to be a file of this machine, or make sure that it can be read.

    MLflow itself would try for minutes to read a damaged one, and print each trial's stack trace.

    Raises:
        DataError: It is locked, damaged or no database.
    """
    if not _uri().startswith(SQLITE):
        return
    path = Path(_place())
    remove_unfinished(path.parent, older_than=DAY)
    if not path.exists():
        _make(path)
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            connection.execute("select count(*) from sqlite_master")
    except sqlite3.Error as error:
        raise DataError(explain(error) or f"MLflow's database {path}: {error}") from error


def _make(path: Path) -> None:
    """Make the database whole or not at all.

    MLflow makes its tables in many steps, and cannot go on from the middle of them.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    beside = unfinished(path)
    try:
        # As MLflow makes its store, with the folder of files that it chooses itself; as an address:
        # it writes it into a statement of SQL, which a quote would end.
        files = (path.absolute().parent / "mlruns").as_uri()
        store = SqlAlchemyStore(sqlite_uri(beside.absolute()), files)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        with suppress(FileExistsError):  # another process was faster, and may have written already
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _uri() -> str:
    loader = ProjectConfigLoader.latest
    return tracking_uri(Path.cwd() if loader is None else loader.root)


def _place() -> str:
    """Where the runs are kept: the path of an SQLite database, or the URI of something else."""
    uri = _uri()
    return str(sqlite_path(uri)) if uri.startswith(SQLITE) else uri
