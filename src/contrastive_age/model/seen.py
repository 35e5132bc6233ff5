"""All that a network was ever trained on, as its weights carry it from training to training."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contrastive_age.errors import DataError
from contrastive_age.faces.looks import BYTES
from contrastive_age.protocols.copies import Photos

Arrays = dict[str, npt.NDArray[Any]]

PHOTOS = "photos.npz"
"""A setting's list of photos: in the folder of the weights that refer to it, or the one above."""

CARD = ("name", "sources", "n", "identities", "data_hash", "epochs", "image_size", "licence")
"""What the card of a training says at least, and a result repeats of the weights it starts from."""

_NAMES = ("name", "sources", "n", "data_hash")
"""What names a training."""

VERSION = 1
"""Raised when what files state of photos is laid out otherwise, or means something else."""

_PHOTO_ARRAYS = {"digests": "uint8", "looks": "uint8", "mirrored": "uint8", "compared": "bool"}
"""The arrays of `Photos` and their types."""


@dataclass(frozen=True, eq=False)
class Seen:
    """All that a network was ever trained on, by itself and by those whose weights it started from.

    Attributes:
        cards: Of each training, the latest first: what JSON can hold, `CARD` at least; `age_min`
            and `age_max` where its linear layer is over ages.
        photos: Of all trainings, by what they are known again.
    """

    cards: tuple[Mapping[str, Any], ...]
    photos: Photos

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of all trainings, the latest first."""
        return tuple(dict.fromkeys(source for card in self.cards for source in card["sources"]))

    @property
    def licence(self) -> str:
        """The terms of all trainings, each once."""
        terms = (term for card in self.cards for term in card["licence"].split("; "))
        return "; ".join(dict.fromkeys(terms))

    @property
    def digest(self) -> str:
        """Name the photos and on what they were seen (SHA-256, hexadecimal).

        Paths and terms of use, which cards say too, make no other list.
        """
        digest = hashlib.sha256()
        for card in self.cards:
            digest.update(json.dumps([card[name] for name in _NAMES]).encode())
        for name in _PHOTO_ARRAYS:
            digest.update(getattr(self.photos, name).tobytes())
        return digest.hexdigest()


def to_arrays(seen: Seen) -> Arrays:
    """Give what `PHOTOS` holds: named arrays, the cards as JSON in bytes."""
    text = json.dumps({"version": VERSION, "cards": seen.cards}, allow_nan=False)
    photos = {name: getattr(seen.photos, name) for name in _PHOTO_ARRAYS}
    return {"text": np.frombuffer(text.encode(), np.uint8), **photos}


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> Seen:
    """Take back what `to_arrays` gave.

    Raises:
        LookupError: An array is missing.
        ValueError: One holds something else, or what another version laid out.
    """
    cards = document_of(arrays["text"].tobytes())["cards"]
    n = len(arrays["digests"])
    for name, dtype in _PHOTO_ARRAYS.items():
        array, shape = arrays[name], (n,) if name == "compared" else (n, BYTES)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not {dtype} {shape}")
    return Seen(tuple(cards), Photos(**{name: arrays[name] for name in _PHOTO_ARRAYS}))


def read_photos(path: Path) -> Seen:
    """Read a setting's list of photos.

    Args:
        path: `PHOTOS` in a setting's folder.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return from_arrays(dict(archive))
    except (OSError, LookupError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a list of photos ({error}); copy it again from the folder "
            f"of the run that made it"
        ) from error


def document_of(text: str | bytes) -> dict[str, Any]:
    """Read a text (JSON) of this version.

    Raises:
        LookupError: It is something else.
        ValueError: It is no JSON, or of another version.
    """
    document: dict[str, Any] = json.loads(text)
    if document["version"] != VERSION:
        raise ValueError(
            f"it has the layout {document['version']}, this version of contrastive-age reads "
            f"{VERSION}"
        )
    return document
