"""What the datasets of one local file share."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset


class LocalFile(AbstractDataset[Any, Any]):
    """One file on this machine's disk; a subclass loads and saves it."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the file."""
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
