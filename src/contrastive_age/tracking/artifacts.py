"""The files of runs: they lie beside the database, also after a project was moved or copied.

MLflow writes down the whole path of the folder of an experiment, and of each run and each model in
it. In a project that was moved or copied they still name the old place: what is logged would go
there, in a copy into the original. So experiments are led to the folder beside the database at
once, and a run when it is run again. All others are said, and `relocate` brings them there.

With a server nothing of this applies: it keeps the files, and gives them out under its own address.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.utils.file_utils import local_file_uri_to_path

from contrastive_age.errors import DataError
from contrastive_age.files import replacing_folder
from contrastive_age.parameters.loader import ARTIFACTS
from contrastive_age.tracking import database

logger = logging.getLogger(__name__)

_said: set[Path] = set()
"""The databases of which this process has said it."""

OWNERS = {
    "run": ("runs", "run_uuid", "artifact_uri", ""),
    "model": ("logged_models", "model_id", "artifact_location", "models/"),
}
"""What has a folder of files: MLflow's table, its columns of the name and of the folder, and where
in the folder of the experiment this lies."""


@dataclass(frozen=True)
class Stray:
    """A run or a model whose files do not lie in the folder of its experiment.

    Attributes:
        kind: `run` or `model`.
        name: MLflow's id of it.
        uri: Where its files are, as MLflow has it.
        old: The folder that this names.
        place: Where they belong.
    """

    kind: str
    name: str
    uri: str
    old: Path
    place: Path


@dataclass(frozen=True)
class Relocated:
    """What was brought beside the database.

    Attributes:
        database: Its file.
        runs: The number of runs whose place is another now.
        models: That of models.
        copied: Of how many of both the files lay elsewhere only, and are copied.
    """

    database: Path
    runs: int
    models: int
    copied: int


def lead_new_runs(location: str | None) -> None:
    """Let new runs lay their files where the configuration says, wherever the project lies now.

    MLflow gives a run the folder of its experiment, which no call of its can change.

    Args:
        location: The path or URI that experiments are given.

    Raises:
        DataError: The database cannot be written.
    """
    path, folder = database.local(), _path(location)
    if path is None or folder is None:
        return
    with database.connected(path) as connection:
        known = list(connection.execute("select experiment_id, artifact_location from experiments"))
        for number, uri in known:
            old = _path(uri)
            new = old and _place_now(old, folder, is_default=number == 0)
            if old and new and not _is_same(old, new):
                connection.execute(
                    "update experiments set artifact_location = ? where experiment_id = ?",
                    (new.as_uri(), number),
                )


def _place_now(old: Path, folder: Path, *, is_default: bool) -> Path | None:
    """Where an experiment's folder belongs; None where a user chose it.

    Args:
        old: Where it is.
        folder: Where the experiments of this project are.
        is_default: Whether it is MLflow's own, into which this project logs nothing.
    """
    if is_default and old.parent.name == "mlruns":
        return folder.parent / old.parent.name / old.name
    return folder if old.name == ARTIFACTS else None


def say_strays() -> None:
    """Say once how many earlier runs have their files elsewhere, and what to do."""
    path = database.local()
    if path is None or path in _said:
        return
    strays = _strays(path)
    if strays:
        _said.add(path)
        logger.warning(
            "The project was moved or copied: %d earlier runs and models in %s have their files "
            "elsewhere, as in %s, not %s. New ones lie here; bring the earlier ones here, too, "
            "with `kedro relocate-runs`",
            len(strays),
            path,
            strays[0].old,
            strays[0].place,
        )


def keep_beside(run_id: str) -> None:
    """Let a run that is run again, and those below it, have their files where they belong.

    Args:
        run_id: The run.

    Raises:
        DataError: The database cannot be written.
        OSError: The files cannot be copied.
    """
    path = database.local()
    if path is not None:
        _relocate(path, _strays(path, run_id))


def relocate() -> Relocated:
    """Bring the files of all earlier runs and models beside the database, and note their new place.

    Files that lie there already, as after the project was moved or copied, stay as they are; those
    that lie only elsewhere are copied, and stay there, too: it may be another project's place.

    Raises:
        DataError: No database of this machine keeps the runs, or it cannot be written.
        OSError: The files cannot be copied.
    """
    path = database.local()
    if path is None:
        raise DataError(
            "Nothing to relocate: the runs are kept by a server, which knows where their files are"
        )
    strays = _strays(path)
    copied = _relocate(path, strays)
    runs = sum(stray.kind == "run" for stray in strays)
    return Relocated(path, runs, len(strays) - runs, copied)


def _strays(path: Path, run_id: str | None = None) -> list[Stray]:
    """The runs and models whose files do not lie in the folder of their experiment.

    Args:
        path: The database.
        run_id: Only this run and those below it; None, all runs and models.
    """
    wanted = {"run": "true", "model": "true"}
    if run_id is not None:
        below = "select run_uuid from tags where key = 'mlflow.parentRunId' and value = :run"
        wanted = {"run": f"o.run_uuid = :run or o.run_uuid in ({below})"}
    strays = []
    with database.connected(path) as connection:
        for kind, condition in wanted.items():
            table, column, place, below = OWNERS[kind]
            rows = connection.execute(
                f"select o.{column}, o.{place}, e.artifact_location from {table} o "  # noqa: S608
                f"join experiments e on e.experiment_id = o.experiment_id where {condition}",
                {"run": run_id},
            )
            for name, uri, location in rows:
                home, old = _path(location), _path(uri)
                if home and old and old.parts[-2:] == (name, "artifacts"):
                    new = home / below / name / "artifacts"
                    if not _is_same(old, new):
                        strays.append(Stray(kind, name, uri, old, new))
    return strays


def _relocate(path: Path, strays: Sequence[Stray]) -> int:
    """Note where the files belong, and give the number of those that had to be copied there."""
    copied = sum(_copy(stray.old, stray.place) for stray in strays)
    if strays:
        with database.connected(path) as connection:
            for stray in strays:
                _note(connection, stray)
    return copied


def _copy(old: Path, place: Path) -> bool:
    """Copy a folder to where nothing is yet, and say whether that was to be done."""
    # Another user's may not be looked into; `Path.is_dir` raises there.
    if not os.path.isdir(old) or place.exists():  # noqa: PTH112
        return False
    try:
        with replacing_folder(place) as beside:
            shutil.copytree(old, beside)
    except OSError:
        if place.exists():  # another process, at another fold of the setting, was faster
            return False
        raise
    return True


def _note(connection: sqlite3.Connection, stray: Stray) -> None:
    """Write down where files belong."""
    table, column, place, _ = OWNERS[stray.kind]
    new = stray.place.as_uri()
    connection.execute(
        f"update {table} set {place} = ? where {column} = ?",  # noqa: S608
        (new, stray.name),
    )
    # A registered version of a model says once more where that lies.
    for place in ("source", "storage_location"):
        connection.execute(
            f"update model_versions set {place} = ? where {place} = ?",  # noqa: S608
            (new, stray.uri),
        )


def _path(location: str | None) -> Path | None:
    """The folder that a path or a `file:` URI names; None for what is no absolute local path."""
    if not location or not location.startswith(("/", "file:///")):
        return None
    # Of a path, too, MLflow's function would take `%20` for a blank.
    is_path = location.startswith("/")
    return Path(location if is_path else local_file_uri_to_path(location))  # type: ignore[no-untyped-call]


def _is_same(old: Path, new: Path) -> bool:
    """Whether two paths name one place, which a link may have left behind at the old one."""
    return old == new or old.resolve() == new.resolve()
