"""What the datasets of one file share, and the refusal of those that need a disk."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import get_protocol_and_path

from contrastive_age.files import replacing


class OneFile(AbstractDataset[Any, Any]):
    """One file at any fsspec path; a subclass says how it is read and written on a disk.

    A local file is written beside and renamed. A remote one is written on this machine first and
    sent as a whole, so that an error half-way sends nothing.
    """

    def __init__(
        self,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Remember the file.

        Args:
            filepath: A path or an fsspec URL, such as `s3://bucket/model.pth`.
            credentials: Arguments of the file system, from Kedro's credentials; none given, it
                looks where it always does, such as in environment variables.
            fs_args: Further arguments of the file system.
            metadata: Kept for Kedro-Viz.
        """
        self._protocol, path = get_protocol_and_path(filepath)
        self._filepath = PurePosixPath(path)
        self._given = filepath
        self._arguments = {**(fs_args or {}), **(credentials or {})}
        self.metadata = metadata

    def load(self) -> Any:
        """Read the whole file."""
        with self.local_copy() as path:
            return self._read(path)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """Give a file on this machine's disk with the same content and name, to read from."""
        if self._is_local:
            yield Path(self._filepath)
            return
        with downloaded(*self._place) as copy:
            yield copy

    def save(self, data: Any) -> None:
        """Write the whole file, or nothing."""
        if self._is_local:
            with replacing(Path(self._filepath)) as beside:
                self._write(data, beside)
            return
        with TemporaryDirectory() as folder:
            copy = Path(folder) / self._filepath.name
            self._write(data, copy)
            filesystem, path = self._place
            filesystem.put_file(str(copy), path)

    @abstractmethod
    def _read(self, path: Path) -> Any:
        """Read a file on a disk."""

    @abstractmethod
    def _write(self, data: Any, path: Path) -> None:
        """Write a file on a disk."""

    @property
    def _is_local(self) -> bool:
        return bool(self._protocol == "file")

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system of a remote file, made when it is first used, and the path in it."""
        import fsspec

        filesystem, path = fsspec.url_to_fs(self._given, **self._arguments)
        return filesystem, str(path)

    def _exists(self) -> bool:
        if self._is_local:
            return Path(self._filepath).is_file()
        filesystem, path = self._place
        # Another machine may have written it since the folder was listed.
        filesystem.invalidate_cache(path.rpartition("/")[0])
        return bool(filesystem.isfile(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._given}


@contextmanager
def downloaded(filesystem: Any, path: str) -> Iterator[Path]:
    """Give a copy of a remote file, with the same name, for as long as the block runs.

    Args:
        filesystem: Of fsspec.
        path: The file in it.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / PurePosixPath(path).name
        filesystem.get_file(path, str(copy))
        yield copy


def local_path(filepath: str, reason: str) -> Path:
    """Give a path on this machine's disk.

    Args:
        filepath: What the catalog says.
        reason: Why it has to be local.

    Raises:
        DatasetError: It is the URL of something else.
    """
    protocol, path = get_protocol_and_path(filepath)
    if protocol != "file":
        raise DatasetError(
            f"{filepath} is not on this machine's disk, but {reason}; give it a local path in the "
            "catalog, or set local_root beside data_root in globals.yml"
        )
    return Path(path)
