"""Numpy archives and torch state dicts: written beside and renamed, and loaded without pickles."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from contrastive_age.files import replacing
from contrastive_age.io.local import LocalFile

if TYPE_CHECKING:
    import torch

    from contrastive_age.triplets.index import TripletIndex

Arrays = dict[str, npt.NDArray[Any]]


class ArrayArchive(LocalFile):
    """Named arrays in one `.npz` file."""

    def load(self) -> Arrays:
        """Read all arrays."""
        with np.load(self._filepath, allow_pickle=False) as archive:
            return dict(archive)

    def save(self, data: Arrays) -> None:
        """Write all arrays."""
        with replacing(self._filepath) as beside:
            np.savez(beside, **data)  # type: ignore[arg-type]


class TripletIndexFile(LocalFile):
    """The triplet index of a training part."""

    def load(self) -> "TripletIndex":
        """Read the index."""
        from contrastive_age.triplets.index import TripletIndex

        return TripletIndex.load(self._filepath)

    def save(self, data: "TripletIndex") -> None:
        """Write the index."""
        data.save(self._filepath)


class StateDict(LocalFile):
    """A torch state dict, loaded onto the CPU with `weights_only`."""

    def load(self) -> "dict[str, torch.Tensor]":
        """Read the tensors."""
        import torch

        state: dict[str, torch.Tensor] = torch.load(
            self._filepath, map_location="cpu", weights_only=True
        )
        return state

    def save(self, data: "dict[str, torch.Tensor]") -> None:
        """Write the tensors."""
        import torch

        # Given a path, torch writes its name into the file: equal models would differ by it.
        with replacing(self._filepath) as beside, beside.open("wb") as file:
            torch.save(data, file)
