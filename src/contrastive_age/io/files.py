"""The one base of our datasets: a file at any fsspec path, written whole or not at all."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from kedro.io import AbstractDataset, CatalogProtocol, DatasetError
from kedro.io.core import get_protocol_and_path

from contrastive_age.errors import leading_to
from contrastive_age.files import replacing


class FileError(DatasetError, OSError):
    """A fault of the disk, with the file that it met; it comes whole out of another process."""


class OneFile(AbstractDataset[Any, Any]):
    """One file or folder at any fsspec path; a subclass says how it is read on a disk."""

    only_local: ClassVar[str] = ""
    """Why the file has to be on this machine's disk; empty where it need not be."""

    def __init__(
        self,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        """Remember the file.

        Args:
            filepath: A path or an fsspec URL, such as `s3://bucket/model.pth`.
            credentials: Arguments of the file system, from Kedro's credentials; none given, it
                looks where it always does, such as in environment variables.
            fs_args: Further arguments of the file system.
            metadata: For Kedro-Viz, and under `mlflow` what becomes of the file there.
            arguments: Of whoever reads and writes it.

        Raises:
            DatasetError: It is the URL of something else than a local file, where one is needed.
        """
        protocol, path = get_protocol_and_path(filepath)
        self.is_local = bool(protocol == "file")
        self.path = Path(path)
        self.metadata = metadata
        self.filepath = filepath
        self._filesystem_arguments = {**(fs_args or {}), **(credentials or {})}
        self._arguments = arguments
        if self.only_local and not self.is_local:
            raise DatasetError(
                f"{filepath} is not on this machine's disk, but {self.only_local}; give it a local "
                "path in the catalog, or set local_root beside data_root in globals.yml"
            )

    def elsewhere(self, part: str, other: str) -> Self:
        """Give the same dataset at a path of which a part is another."""
        return type(self)(
            self.filepath.replace(part, other),
            fs_args=self._filesystem_arguments,
            metadata=self.metadata,
            **self._arguments,
        )

    def load(self) -> Any:
        """Read the whole file."""
        with self._faults_named(), self.local_copy() as path:
            return self._read(path)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """Give a file on this machine's disk with the same content and name, to read from."""
        if self.is_local:
            yield self.path
            return
        with TemporaryDirectory() as folder:
            copy = Path(folder) / self.path.name
            filesystem, path = self._place
            filesystem.get_file(path, str(copy))
            yield copy

    @abstractmethod
    def _read(self, path: Path) -> Any:
        """Read a file on a disk."""

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        """Name the file that met a fault of the disk: writers in other languages do not."""
        try:
            yield
        except Exception as error:
            for fault in leading_to(error):
                if isinstance(fault, OSError) and fault.errno is not None:
                    fault.filename = fault.filename or str(self.path)
                    raise FileError(fault.errno, fault.strerror, fault.filename) from error
            raise

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system of a remote file, made when it is first used, and the path in it."""
        import fsspec

        filesystem, path = fsspec.url_to_fs(self.filepath, **self._filesystem_arguments)
        return filesystem, str(path)

    def _exists(self) -> bool:
        if self.is_local:
            return self.path.is_file()
        filesystem, path = self._place
        # Another machine may have written it since the folder was listed.
        filesystem.invalidate_cache(path.rpartition("/")[0])
        return bool(filesystem.isfile(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self.filepath}


class WholeFile(OneFile):
    """A file that is written whole or not at all; a subclass says how, on a disk.

    A local file is written beside and renamed. A remote one is written on this machine first and
    sent as a whole, so that an error half-way sends nothing.
    """

    def save(self, data: Any) -> None:
        """Write the whole file, or nothing."""
        with self._faults_named():
            if self.is_local:
                with replacing(self.path) as beside:
                    self._write(data, beside)
                return
            with TemporaryDirectory() as folder:
                copy = Path(folder) / self.path.name
                self._write(data, copy)
                filesystem, path = self._place
                filesystem.put_file(str(copy), path)

    @abstractmethod
    def _write(self, data: Any, path: Path) -> None:
        """Write a file on a disk."""


def path_of(catalog: CatalogProtocol[Any, Any], name: str) -> Path:
    """Say where a file of the catalog lies; of one in a store, the path in that."""
    dataset: Any = catalog.get(name)
    return Path(dataset.path)
