"""Tables, documents and figures whose files are written beside and renamed: whole, or not there."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset
from kedro.io.core import get_filepath_str, get_protocol_and_path
from kedro_datasets._typing import ImagePreview, JSONPreview, TablePreview

from contrastive_age.files import replacing
from contrastive_age.io.files import downloaded


class _Atomic(AbstractDataset[Any, Any]):
    """A dataset of kedro-datasets for any fsspec path, made when it is first used.

    Its packages import pyplot and clients of databases: every run would wait for them before its
    first node. A local file is written under a temporary name first; object stores replace whole
    objects.
    """

    def __init__(
        self, filepath: str, metadata: dict[str, Any] | None = None, **arguments: Any
    ) -> None:
        """Remember the path, and further arguments of the dataset of kedro-datasets."""
        self._protocol, path = get_protocol_and_path(filepath)
        self._filepath = PurePosixPath(path)
        self._given = filepath
        self._arguments = arguments
        self.metadata = metadata

    def load(self) -> Any:
        """Read the whole file."""
        return self._dataset.load()

    def save(self, data: Any) -> None:
        """Write the whole file, or nothing."""
        if self._protocol != "file":
            self._dataset.save(data)
            return
        with replacing(Path(self._filepath)) as beside:
            self._make(beside.as_posix()).save(data)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """Give a file on this machine's disk with the same content and name, to read from."""
        if self._protocol == "file":
            yield Path(self._filepath)
            return
        path = get_filepath_str(self._filepath, self._protocol)
        with downloaded(self._dataset._fs, path) as copy:
            yield copy

    @cached_property
    def _dataset(self) -> Any:
        return self._make(self._given)

    @abstractmethod
    def _make(self, filepath: str) -> Any:
        """Make the dataset of kedro-datasets for a path."""

    def _exists(self) -> bool:
        local = self._protocol == "file"
        return Path(self._filepath).is_file() if local else self._dataset.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._given}


class Table(_Atomic):
    """A pandas table as Parquet; `DataFrame.attrs`, such as the fingerprint, are kept."""

    def _make(self, filepath: str) -> Any:
        from kedro_datasets.pandas import ParquetDataset

        return ParquetDataset(filepath=filepath, **self._arguments)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, as Kedro-Viz shows them."""
        return self._dataset.preview(nrows)


class Csv(_Atomic):
    """A pandas table as CSV."""

    def _make(self, filepath: str) -> Any:
        from kedro_datasets.pandas import CSVDataset

        return CSVDataset(filepath=filepath, **self._arguments)


class Text(_Atomic):
    """Text, such as a page of HTML."""

    def _make(self, filepath: str) -> Any:
        from kedro_datasets.text import TextDataset

        return TextDataset(filepath=filepath, **self._arguments)


class Document(_Atomic):
    """A JSON document."""

    def _make(self, filepath: str) -> Any:
        from kedro_datasets.json import JSONDataset

        return JSONDataset(filepath=filepath, **self._arguments)

    def preview(self) -> JSONPreview:
        """The document, as Kedro-Viz shows it."""
        return self._dataset.preview()


class Picture(_Atomic):
    """A matplotlib figure as PNG."""

    def _make(self, filepath: str) -> Any:
        from kedro_datasets.matplotlib import MatplotlibDataset

        return MatplotlibDataset(filepath=filepath, **self._arguments)

    def preview(self) -> ImagePreview:
        """The picture, as Kedro-Viz shows it."""
        return self._dataset.preview()
