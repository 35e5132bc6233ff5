"""The database of runs, where it is a file of this machine: made whole, and not found broken."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from kedro.utils import find_kedro_project

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


def local() -> Path | None:
    """The database's file; None where runs are kept by a server or in another way."""
    return Path(_place()) if _uri().startswith(SQLITE) else None


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to the database, and commit what the block does, all of it or nothing.

    Args:
        path: Its file.

    Raises:
        DataError: It is locked, damaged, no database or cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
            yield connection
    except sqlite3.Error as error:
        raise DataError(explain(error) or f"MLflow's database {path}: {error}") from error


def prepare() -> None:
    """Make the database where it is to be a file of this machine, or make sure that it can be used.

    MLflow itself would try for minutes to read a damaged one, and print each trial's stack trace;
    one of an earlier version it would change or refuse, and one of a later version refuse.

    Raises:
        DataError: It is locked, damaged, no database, or one of another version of MLflow.
    """
    path = local()
    if path is None:
        return
    remove_unfinished(path.parent, older_than=DAY)
    if not path.exists():
        _make(path)
    with connected(path) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
        versions = "select version_num from alembic_version"
        found = list(connection.execute(versions)) if "alembic_version" in tables else []
    if "experiments" in tables:  # else it is empty, or another program's: MLflow adds its tables
        _check_version(path, found[0][0] if found else None)


def _check_version(path: Path, found: str | None) -> None:
    """Refuse a database whose tables are those of an earlier or a later MLflow.

    Args:
        path: Its file.
        found: The name of its last migration; None before MLflow had any.

    Raises:
        DataError: It is of another version.
    """
    import mlflow
    from alembic.script import ScriptDirectory

    migrations = ScriptDirectory(str(files("mlflow") / "store" / "db_migrations"))
    expected = migrations.get_current_head()
    if found == expected:
        return
    if found is None or found in {each.revision for each in migrations.walk_revisions()}:
        said, remedy = "an earlier", f"copy the file, then run `mlflow db upgrade {_uri()}`"
    else:
        said, remedy = (
            "a later",
            "install that one (`pip install --upgrade mlflow`), move the file away",
        )
    raise DataError(
        f"MLflow's database {path} was made by {said} MLflow than {mlflow.__version__}, which is "
        f"installed (schema {found or 'without a version'}, not {expected}): {remedy}, or set "
        "MLFLOW_TRACKING_URI"
    )


def _make(path: Path) -> None:
    """Make the database whole or not at all.

    MLflow makes its tables in many steps, and cannot go on from the middle of them.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    beside = unfinished(path)
    try:
        # As MLflow makes its store. Where its own experiment would lay files is chosen here, as an
        # address: it writes it into a statement of SQL, which a quote would end.
        files_of_default = (path.absolute().parent / "mlruns").as_uri()
        store = SqlAlchemyStore(sqlite_uri(beside.absolute()), files_of_default)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        with suppress(FileExistsError):  # another process was faster, and may have written already
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _uri() -> str:
    loader = ProjectConfigLoader.latest
    root = (find_kedro_project(Path.cwd()) or Path.cwd()) if loader is None else loader.root
    return tracking_uri(root)


def _place() -> str:
    """Where the runs are kept: the path of an SQLite database, or the URI of something else."""
    uri = _uri()
    return str(sqlite_path(uri)) if uri.startswith(SQLITE) else uri
