"""Tables, JSON and figures whose files are written beside and renamed: whole, or not there."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import ImagePreview, JSONPreview, TablePreview

from contrastive_age.files import replacing
from contrastive_age.io.local import LocalFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Table(LocalFile):
    """A pandas table as Parquet; `DataFrame.attrs`, such as the fingerprint, are kept."""

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return pd.read_parquet(self._filepath)

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        with replacing(self._filepath) as beside:
            data.to_parquet(beside)

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, as Kedro-Viz shows them."""
        return TablePreview(pd.read_parquet(self._filepath).head(nrows).to_dict(orient="split"))


class Document(LocalFile):
    """A JSON document."""

    def load(self) -> Any:
        """Read the document."""
        return json.loads(self._filepath.read_text())

    def save(self, data: Any) -> None:
        """Write the document."""
        with replacing(self._filepath) as beside:
            beside.write_text(json.dumps(data, indent=2))

    def preview(self) -> JSONPreview:
        """The document, as Kedro-Viz shows it."""
        return JSONPreview(self._filepath.read_text())


class Picture(LocalFile):
    """A matplotlib figure as PNG; it can only be written."""

    def load(self) -> Any:
        """Refuse: a figure cannot be made from its picture."""
        raise DatasetError(f"{self._filepath} is a picture of a figure, and is not read again")

    def save(self, data: "Figure") -> None:
        """Write the picture."""
        with replacing(self._filepath) as beside:
            data.savefig(beside)

    def preview(self) -> ImagePreview:
        """The picture, as Kedro-Viz shows it."""
        return ImagePreview(base64.b64encode(self._filepath.read_bytes()).decode())
