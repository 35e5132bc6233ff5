"""Tables, JSON and figures whose files are written beside and renamed: whole, or not there."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro_datasets.json import JSONDataset
from kedro_datasets.matplotlib import MatplotlibDataset
from kedro_datasets.pandas import ParquetDataset

from contrastive_age.files import replacing


class _Atomic:
    """Saves a local file under a temporary name first; object stores replace whole objects."""

    _protocol: str
    _filepath: PurePosixPath

    def save(self, data: Any) -> None:
        if self._protocol != "file":
            super().save(data)  # type: ignore[misc]
            return
        with replacing(Path(self._filepath)) as beside:
            copy = self._copy(_filepath=PurePosixPath(beside.as_posix()))  # type: ignore[attr-defined]
            super(_Atomic, copy).save(data)  # type: ignore[misc]


class Table(_Atomic, ParquetDataset):  # type: ignore[misc]
    """A pandas table as Parquet; `DataFrame.attrs`, such as the fingerprint, are kept."""


class Document(_Atomic, JSONDataset):  # type: ignore[misc]
    """A JSON document."""


class Picture(_Atomic, MatplotlibDataset):  # type: ignore[misc]
    """A matplotlib figure as PNG."""
