"""Numpy archives and torch state dicts: written whole or not at all, and loaded without pickles."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contrastive_age.io.files import WholeFile
from contrastive_age.triplets.index import TripletIndex

Arrays = dict[str, npt.NDArray[Any]]


class ArrayArchive(WholeFile):
    """Named arrays in one `.npz` file."""

    def _read(self, path: Path) -> Arrays:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        if not arrays:  # of an archive with a damaged list nothing else may be left
            raise ValueError(f"{path} holds no arrays")
        return arrays

    def _write(self, data: Arrays, path: Path) -> None:
        np.savez(path, **data)  # type: ignore[arg-type]


class TripletIndexFile(WholeFile):
    """The triplet index of a training part."""

    def _read(self, path: Path) -> TripletIndex:
        return TripletIndex.load(path)

    def _write(self, data: TripletIndex, path: Path) -> None:
        data.save(path)


class StateDict(WholeFile):
    """A torch state dict, loaded onto the CPU without running code.

    An `OrderedDict` keeps its attributes, in which `model.weights` states what it has seen.
    """

    def _read(self, path: Path) -> Any:
        from contrastive_age.model.weights import read_saved

        return read_saved(path, "a state dict")

    def _write(self, data: dict[str, Any], path: Path) -> None:
        from contrastive_age.model.weights import write_saved

        write_saved(data, path)


class AgeModelFile(WholeFile):
    """The final model: weights with all that it takes to use and to judge them."""

    def _read(self, path: Path) -> Any:
        from contrastive_age.inference.model_file import load_model

        return load_model(path)

    def _write(self, data: Any, path: Path) -> None:
        from contrastive_age.inference.model_file import save_model

        save_model(data, path)
