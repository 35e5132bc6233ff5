"""Writing files so that a reader never sees half of one, and naming what made them."""

import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

DAY = 86_400.0
"""Seconds after which a file that was still being written is taken for abandoned."""

TICK = 2e9
"""Nanoseconds for which a file counts as just changed, see `state_of`."""

_looks = itertools.count(1)

_SEAL = b"SUM1"
SEAL_SIZE = 8
"""Bytes of a seal."""

_STEM = 50
_UNFINISHED = re.compile(r"\..+\.\d+-[0-9a-f]{8}(\.[\w-]+)?")
"""As `unfinished` names files, with what databases add while they write."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed onto it when the block succeeds.

    Whenever the power fails, `path` holds the old file or the whole new one.

    Args:
        path: The file to write; its folder is made when missing.

    Yields:
        A path in the same folder with the same suffix, for writers that look at the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = unfinished(path)
    try:
        with named(path):
            yield beside
        put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a path beside `folder` for a new folder, renamed to it when the block succeeds.

    Args:
        folder: It must be empty or not there; the one that it lies in is made when missing.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = unfinished(folder)
    try:
        with named(folder):
            yield beside
            for place, _, names in os.walk(beside):
                for name in names:
                    sync(Path(place, name))
                sync_folder(Path(place))
            beside.replace(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def why_not_writable(path: Path, *, folder: bool = False) -> str:
    """Say why a file could not be written, before the work whose result it is to hold.

    A disk that is full, or gets full meanwhile, is found only by writing. Nothing is left behind.

    Args:
        path: The file, which may be there; folders that it needs may be missing.
        folder: Whether it is a folder into which files are to be written.

    Returns:
        The reason, with the remedy; "" where it can be written.
    """
    there = path if folder else path.parent
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        return f"{there} is no folder; name another place"
    try:
        # A name that is too long is found so.
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode) and not folder:
                return "it is a folder; name a file"
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{error.strerror}; name another place"


def unfinished(path: Path) -> Path:
    """Name a file beside `path` for what is to become it, unlike any other writer's."""
    # Processes of two machines can have one number; containers often do.
    writer = f"{os.getpid()}-{secrets.token_hex(4)}"
    # A name has 255 bytes at most.
    return path.with_name(f".{path.stem[:_STEM]}.{writer}{path.suffix}")


def remove_unfinished(folder: Path, older_than: float = 0.0) -> None:
    """Remove what writers that were killed have left in a folder, and nothing else.

    Args:
        folder: Not its subfolders; it may be missing.
        older_than: In seconds; for folders into which others may be writing now.
    """
    for path in folder.glob(".*"):
        # Some may be gone meanwhile, or not ours to remove: they harm nobody.
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime >= older_than
            if old and _UNFINISHED.fullmatch(path.name):
                path.unlink()


def put_in_place(written: Path, path: Path) -> None:
    """Rename a file onto another so that no failure of power leaves less than one of them.

    A system may write the new name to the disk before the content, and after a failure the file is
    empty or holds half: so the content comes first.

    Raises:
        OSError: The disk did not take the content; `path` is then what it was.
    """
    with named(path):
        sync(written)
        written.replace(path)
        sync_folder(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    # Windows wants it opened for writing, which a copy need not allow.
    with path.open("rb+" if os.access(path, os.W_OK) else "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where the system can."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders; others need not let one be listed
        return
    try:
        os.fsync(opened)
    except OSError as error:
        # Some shared folders know no such thing.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
            raise
    finally:
        os.close(opened)


def seal(parts: Iterable[bytes]) -> bytes:
    """Make what vouches for bytes and is written beside them: a mark, and their CRC-32."""
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return _SEAL + found.to_bytes(SEAL_SIZE - len(_SEAL), "little")


def is_seal(content: bytes) -> bool:
    """Whether `seal` has made it, of whatever; files of other writers have none."""
    return content.startswith(_SEAL)


def state_of(path: Path) -> tuple[Path, int, int, int, int, int]:
    """Give what is another where the file may be another, so that it has to be read anew.

    Of a file that has just been changed it is another each time.

    Raises:
        OSError: It is missing or cannot be looked at.
    """
    state = path.stat()
    changed = state.st_ctime_ns
    # Clocks of disks tick slowly: what changes twice in one tick looks the same.
    new = time.time_ns() - changed < TICK and next(_looks)
    return path, state.st_size, state.st_ino, state.st_mtime_ns, changed, new


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name a file in the system's errors: a writer that was given an open file does not know it."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def fingerprint(*parts: Any) -> str:
    """Name a set of values in 16 hexadecimal digits, the same on every machine.

    Args:
        parts: Anything JSON can hold; keys of mappings are sorted, so their order does not matter.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
