"""Where a path leads that a user gives: as a parameter, in a file or on a command line."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from contrastive_age.errors import DataError

SQLITE = "sqlite:///"

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_address(path: str | Path) -> bool:
    """Whether it is the address of something elsewhere, such as `s3://bucket/faces`."""
    return _ADDRESS.match(os.fspath(path)) is not None


def expanded(path: str | Path) -> Path:
    """Put the home folder in the place of `~`; all else means what it says.

    Variables of the environment are left to the shell: `$` may be a letter of a name.

    Raises:
        DataError: The user after `~` is not known here, or it is an address.
    """
    if is_address(path):
        raise DataError(f"{path} is an address; nothing is fetched from there: give a path here")
    whole = os.path.expanduser(path)  # noqa: PTH111  pathlib's knows no user without a home
    if os.fspath(whole).startswith("~"):
        user = os.fspath(path).partition("/")[0]
        raise DataError(f"{path}: {user} is nobody's home here; a folder called so is ./{user}")
    return Path(whole)


def sqlite_uri(path: Path) -> str:
    """Write the path of an SQLite database, which is absolute, as SQLAlchemy reads it.

    Most paths stand there as they are. Of one with a sign that means something in an address all is
    escaped, its slashes, too: MLflow makes the folders that a part of the address seems to name.
    """
    plain = f"{SQLITE}{path.as_posix()}"
    escaped = f"{SQLITE}/{quote(path.as_posix()[1:], safe='')}"
    return plain if sqlite_path(plain) == path or sqlite_path(escaped) != path else escaped


def sqlite_path(uri: str) -> Path:
    """Give the path of the database that an address names, see `sqlite_uri`."""
    if not {"%", "?"} & set(uri):
        return Path(uri.removeprefix(SQLITE))
    from sqlalchemy.engine import make_url

    return Path(make_url(uri).database or "")
