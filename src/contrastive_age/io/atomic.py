"""Tables, documents and figures, as kedro-datasets reads and writes them."""

from pathlib import Path
from typing import Any, ClassVar, NewType

import pandas as pd
from kedro.utils import load_obj

from contrastive_age import tables
from contrastive_age.io.files import WholeFile

# Kedro-Viz knows what to draw by these names.
TablePreview = NewType("TablePreview", dict[str, Any])
JSONPreview = NewType("JSONPreview", str)
ImagePreview = NewType("ImagePreview", str)


class _Borrowed(WholeFile):
    """A file in a format of kedro-datasets, whose dataset is imported when it is first used.

    Its packages import pyplot and clients of databases: every run would wait for them before its
    first node.
    """

    format: ClassVar[str]
    """The dataset of kedro-datasets."""

    arguments: ClassVar[dict[str, Any]] = {}
    """What it is given, unless the catalog says otherwise."""

    def _at(self, path: Path) -> Any:
        """Make the dataset of kedro-datasets for a file on a disk."""
        arguments = self.arguments | self._arguments
        return load_obj(self.format)(filepath=path.as_posix(), **arguments)

    def _read(self, path: Path) -> Any:
        return self._at(path).load()

    def _write(self, data: Any, path: Path) -> None:
        self._at(path).save(data)

    def _preview(self, **arguments: Any) -> Any:
        with self.local_copy() as path:
            return self._at(path).preview(**arguments)


class Table(_Borrowed):
    """A pandas table as Parquet; `DataFrame.attrs`, such as the fingerprint, are kept."""

    format = "kedro_datasets.pandas.ParquetDataset"

    def _read(self, path: Path) -> pd.DataFrame:
        return tables.read(path)

    def _write(self, data: pd.DataFrame, path: Path) -> None:
        tables.write(data, path)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, as Kedro-Viz shows them."""
        return TablePreview(self._preview(nrows=nrows))


class Csv(_Borrowed):
    """A pandas table as CSV."""

    format = "kedro_datasets.pandas.CSVDataset"


class Text(_Borrowed):
    """Text, such as a page of HTML."""

    format = "kedro_datasets.text.TextDataset"


class Document(_Borrowed):
    """A JSON document."""

    format = "kedro_datasets.json.JSONDataset"
    # Names stay as people write them, whatever the system's own encoding.
    arguments: ClassVar[dict[str, Any]] = {
        "save_args": {"ensure_ascii": False},
        "fs_args": {
            "open_args_load": {"encoding": "utf-8"},
            "open_args_save": {"encoding": "utf-8"},
        },
    }

    def preview(self) -> JSONPreview:
        """The document, as Kedro-Viz shows it."""
        return JSONPreview(self._preview())


class Picture(_Borrowed):
    """A matplotlib figure as PNG."""

    format = "kedro_datasets.matplotlib.MatplotlibDataset"

    def preview(self) -> ImagePreview:
        """The picture, as Kedro-Viz shows it."""
        return ImagePreview(self._preview())
