"""Files of weights: tensors that a network starts from, and all that they were ever trained on.

A file that leaves a run is a state dict like any other, which loads strictly into a network of its
names. What its network has seen is an attribute of the `OrderedDict`, as torch's own `_metadata`
is: torch saves it and loads it, with `weights_only` too, and who loads a network does not see it.
It holds a text (JSON) and, as tensors, what `seen.to_arrays` gives; or else the text has the digest
of the list `photos.npz`, which holds these once for all folds of a setting.
"""

import json
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.serialization import config

from contrastive_age.errors import DataError
from contrastive_age.faces.looks import COVERAGE
from contrastive_age.files import SEAL_SIZE, is_seal, seal, state_of
from contrastive_age.model import efficientnet_lite0
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import EFFICIENTNET_LITE0, IMAGENET
from contrastive_age.model.seen import (
    CARD,
    PHOTOS,
    VERSION,
    Seen,
    document_of,
    from_arrays,
    read_photos,
    to_arrays,
)
from contrastive_age.protocols.copies import Photos, find_known
from contrastive_age.provenance import file_digest

STATED = "contrastive_age"
"""The attribute of a state dict that says what its network has seen."""

AGE_MODEL = "contrastive-age model"
"""The format of final models, which are no weights to train from."""

IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
"""Of torchvision's `ResNet18_Weights.IMAGENET1K_V1`; the name holds the SHA-256's first digits."""

_UNREADABLE = (
    OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError,
    zipfile.BadZipFile, zlib.error, NotImplementedError, struct.error,
)  # fmt: skip
"""What a damaged file makes torch raise."""

_TERMS = {
    EFFICIENTNET_LITE0: f"initial weights: {efficientnet_lite0.TERMS}",
    IMAGENET: "initial weights: ImageNet's, for non-commercial research",
    "unknown": "initial weights: not stated",
}
_BEFORE = ("pretraining.card", "pretraining.digests", "pretraining.hashes")
"""Tensors of bytes beside those of the network, in files that were made before `STATED`."""


_HOW = {
    "bytes": "has the same bytes as",
    "look": "looks the same as",
    "mirror": "looks the same as the mirror image of",
}


@dataclass(frozen=True, eq=False)
class Weights:
    """What a network starts from.

    Attributes:
        name: A key of `NAMED`, or the path of the file.
        state: The tensors by torchvision's names or ours.
        digest: SHA-256 of the file, hexadecimal.
        files: The file, and the list of photos if it refers to one: what to copy.
        seen: What they were trained on; None for those that are named and for files of unknown
            origin.
        about: What else the file states, as it was given when it was made.
    """

    name: str
    state: Mapping[str, Tensor]
    digest: str
    files: tuple[Path, ...]
    seen: Seen | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> AgeClasses | None:
        """The ages of the linear layer, which are those of the latest training; None if unknown."""
        card = self.seen.cards[0] if self.seen else {}
        if "age_min" not in card:
            return None
        classes = AgeClasses(card["age_min"], card["age_max"])
        # Somebody may have put another layer in its place.
        layer = self.state.get("fc.weight")
        return classes if layer is None or len(layer) == classes.number else None


def initial_weights(weights: str, digest: str | None) -> Weights | None:
    """Read what a network is to start from.

    Args:
        weights: `none`, `imagenet` (torchvision's, downloaded once into torch's cache),
            `efficientnet_lite0` (of a package) or the path of a file.
        digest: SHA-256 of the file when the command began, which names the setting; None where it
            was not there, and for those that are known by their name.

    Returns:
        None for `none`: all weights are drawn.

    Raises:
        DataError: See `read_weights`; the file was changed or made since. Or ImageNet's are neither
            cached nor to be downloaded, or the file of that name in the cache is another; or the
            package is not installed.
    """
    if weights == "none":
        return None
    if weights in NAMED:
        return NAMED[weights]()
    path = Path(weights)
    # What cannot be looked at says so when it is read.
    start = _read_once(*state_of(path)) if path.is_file() else read_weights(path)
    if start.digest != digest:
        raise DataError(
            f"{weights} was changed or made after this command began; start it again, so that "
            "results are named by the weights that they start from"
        )
    return start


def statement(weights: str, digest: str | None) -> Weights | None:
    """Read what initial weights state of their making.

    Args:
        weights: As for `initial_weights`. Those of `NAMED`, which state nothing, need not be there.
        digest: As for `initial_weights`.

    Returns:
        None for `none`; of those that are named no tensors.
    """
    if weights in NAMED:
        return Weights(weights, {}, "", ())
    return initial_weights(weights, digest)


def refuse_tested(start: Weights | None, tested: pd.DataFrame, most_bits: int) -> None:
    """Refuse to test on photos that the initial weights were trained on, in any generation.

    Weights without a card, such as ImageNet's, name no photos, so that nothing can be compared.

    Args:
        start: What a network starts from; None for random weights.
        tested: Of the samples that will be tested, what `Photos.of_table` reads.
        most_bits: See `copies.find_known`.

    Raises:
        DataError: There are such photos; the message counts them and names the first.
    """
    if tested.empty or start is None or start.seen is None:
        return
    known = find_known(start.seen.photos, Photos.of_table(tested), most_bits)
    if known.empty:
        return
    count = known["how"].value_counts()
    first = known.iloc[0]
    raise DataError(
        f"{len(known)} of {len(tested)} test photos were seen in the pretraining of {start.name}: "
        f"{count.get('bytes', 0)} have the same bytes, {count.get('look', 0)} look the same, "
        f"{count.get('mirror', 0)} look the same mirrored. The first is "
        f"{tested['sample_id'].iloc[first['tested']]}, which {_HOW[first['how']]} one of "
        f"{', '.join(start.seen.sources)}. An error on photos seen in training says nothing: give "
        f"model.weights that were made without them, or test on others"
    )


def read_saved(path: Path, what: str) -> Any:
    """Read what torch saved, onto the CPU and without running any code that it may hold.

    Args:
        path: The file.
        what: What it should hold, for the message, such as "weights".

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is damaged, holds code, or torch did not save it.
    """
    try:
        _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: cannot be read as {what}, it is damaged or not saved by torch as tensors and "
            f"plain values; replace it, or make it again ({type(error).__name__})"
        ) from error


def write_saved(content: Any, path: Path) -> None:
    """Write what `read_saved` reads.

    Args:
        content: Tensors and plain values.
        path: The file.

    Raises:
        OSError: The disk fails.
    """
    # Given a path, torch does not say why it cannot write; and it writes the name into the file, so
    # that equal ones differ. Its own sums, which it never checks, would take three quarters of the
    # time: the one of the whole file, below, is checked.
    with (
        path.open("wb") as file,
        config.patch(  # type: ignore[attr-defined]
            "save.compute_crc32", False
        ),
    ):
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # Its error at the end hides the one from which it follows: the disk's, or Control-C.
            if isinstance(error.__context__, OSError | KeyboardInterrupt):
                raise error.__context__ from None
            raise
    # The archive ends with the length of its comment, which is empty. It becomes a sum of the file.
    with path.open("rb+") as file:
        file.seek(-2, os.SEEK_END)
        file.write(SEAL_SIZE.to_bytes(2, "little"))
        file.write(seal(_parts(file, file.tell())))


def _parts(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Read the first bytes of a file, behind which it is left."""
    file.seek(0)
    while part := file.read(min(size, 2**20)):
        yield part
        size -= len(part)


def _check_sums(path: Path) -> None:
    """Check the sum of a file that `write_saved` wrote, or those of another archive's parts.

    Raises:
        zipfile.BadZipFile: It is damaged. Files in torch's older format have no sums.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - SEAL_SIZE, 0))
        found = file.read(SEAL_SIZE)
        if is_seal(found):
            if found != seal(_parts(file, end - SEAL_SIZE)):
                raise zipfile.BadZipFile("its sum is another")
            return
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if archive.comment:
            raise zipfile.BadZipFile("its sum is cut off")
        parts = archive.infolist()
        # torch can be told to write no sums; it writes zeros then, everywhere.
        for part in parts if any(part.CRC for part in parts) else ():
            with archive.open(part) as content:
                while content.read(2**20):
                    pass


def read_weights(path: Path) -> Weights:
    """Read a file of weights without running any code that it may hold.

    Args:
        path: A state dict saved by torch; it may be partial.

    Raises:
        DataError: The file is missing, damaged or holds something else, or it refers to a list of
            photos that is missing or another.
    """
    saved = _load(path)
    state = {name: tensor for name, tensor in saved.items() if name not in _BEFORE}
    weights = Weights(str(path), state, file_digest(path), (path,))
    try:
        return replace(weights, **_stated(saved, path))
    except DataError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: what it states of the photos that it was trained on is damaged ({error}); "
            f"copy or make it again"
        ) from error


@lru_cache(maxsize=1)
def _read_once(path: Path, *_: int) -> Weights:
    """Read a file that all folds start from, and ask for several times each."""
    return read_weights(path)


def with_seen(
    state: Mapping[str, Tensor], about: Mapping[str, Any], seen: Seen | str
) -> "OrderedDict[str, Tensor]":
    """Make a state dict that states what its network has seen, or in which list it is written.

    A list is of all photos of the setting, though a fold is trained on some of them: which one
    trained this very fold is not told apart, so that none of them is ever tested from it.

    Args:
        state: Of a network, on the CPU.
        about: What else it is to state; what JSON can hold.
        seen: See `grown`: then no file is needed beside the state dict. Or `Seen.digest` of what
            `PHOTOS` in the setting's folder holds.

    Returns:
        The same tensors. Copies of it such as `dict(...)` state nothing.
    """
    listed, arrays = ({"photos": seen}, {}) if isinstance(seen, str) else ({}, to_arrays(seen))
    stating = OrderedDict(state)
    text = json.dumps({"version": VERSION, "about": about, **listed}, allow_nan=False)
    stated = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    setattr(stating, STATED, {"about": text, **stated})
    return stating


def grown(start: Weights | None, card: Mapping[str, Any], photos: Photos) -> Seen:
    """Put together what a network has seen after a training.

    Args:
        start: What it started from; None for random weights.
        card: Of this training: `CARD` at least. Its `licence` names the terms of this training's
            data; those of ImageNet's weights, or that those of a file are not stated, are added.
        photos: Of this training.

    Raises:
        ValueError: The card lacks something.
    """
    lacking = [name for name in CARD if name not in card]
    if lacking:
        raise ValueError(f"the card of a training lacks {', '.join(lacking)}")
    if start is None:
        return Seen((card,), Photos.union([photos]))
    if start.seen is not None:
        return Seen((card, *start.seen.cards), Photos.union([photos, start.seen.photos]))
    terms = _TERMS.get(start.name, _TERMS["unknown"])
    return Seen(({**card, "licence": f"{card['licence']}; {terms}"},), Photos.union([photos]))


def about(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Give what else a state dict states, see `with_seen`; nothing for one that states nothing."""
    stated = getattr(state, STATED, None)
    return {} if stated is None else dict(document_of(stated["about"])["about"])


def require_list(state: Mapping[str, Tensor], photos: Mapping[str, Any], what: str) -> None:
    """Make sure that a list of photos is the one to which a state dict refers, see `with_seen`.

    Args:
        state: Of a network of the setting.
        photos: What `PHOTOS` in the setting's folder holds.
        what: The network, for the message.

    Raises:
        DataError: It is another.
    """
    if document_of(getattr(state, STATED)["about"])["photos"] != from_arrays(photos).digest:
        raise DataError(
            f"The network of {what}, was trained beside another list of photos than the {PHOTOS} "
            f"of its setting; run its training again"
        )


def seen_of(state: Mapping[str, Tensor]) -> Seen:
    """Give what a state dict states that its network has seen, as `with_seen` made it.

    Raises:
        LookupError: It does not state it, or not without a file beside it.
    """
    stated = getattr(state, STATED, {})
    return from_arrays({name: x.numpy() for name, x in stated.items() if name != "about"})


def external_faces(start: Weights | None) -> dict[str, Any] | None:
    """Say on which faces initial weights were trained, as `metrics.json` holds it.

    Args:
        start: What a network starts from.

    Returns:
        None for weights that do not state it. Else `CARD` of the latest training, but for
        `sources`, `licence` and `n` (different photos), which are those of all trainings; `weights`
        (SHA-256 of the file) and `generations`: `CARD` of each training, the latest first.
    """
    if start is None or start.seen is None:
        return None
    seen = start.seen
    generations = [{name: card[name] for name in CARD} for card in seen.cards]
    return generations[0] | {
        "sources": list(seen.sources),
        "n": len(np.unique(seen.photos.digests, axis=0)),
        "licence": seen.licence,
        "weights": start.digest,
        "generations": generations,
    }


def _load(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise DataError(
            f"{path}: no such file of weights; correct model.weights ({', '.join(NAMED)}, none or "
            f"a path)"
        )
    saved = read_saved(path, "weights")
    if isinstance(saved, Mapping) and saved.get("format") == AGE_MODEL:
        raise DataError(
            f"{path}: is a final model for use, without the list of photos that it was trained on; "
            f"give the model.pth beside it to train from"
        )
    if not isinstance(saved, Mapping) or not all(isinstance(x, Tensor) for x in saved.values()):
        raise DataError(
            f"{path}: holds no state dict (a mapping of names to tensors); save "
            "network.state_dict() alone"
        )
    return saved


def _stated(saved: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Give what a file states, by the attributes of `Weights`."""
    stated = getattr(saved, STATED, None)
    if stated is None:
        return {"seen": _stated_before(saved)} if _BEFORE[0] in saved else {}
    document = document_of(stated["about"])
    about = {"about": document["about"]}
    if "photos" in document:
        place, seen = _listed(path, document["photos"])
        return about | {"seen": seen, "files": (path, place)}
    return about | {"seen": seen_of(saved)}


def _stated_before(saved: Mapping[str, Tensor]) -> Seen:
    """What files state that were made before `STATED`: one training, and no mirror images.

    Their faces were hashed at the coverage of the training. Photos that are tested are mirrored, so
    that mirror images are found all the same.
    """
    text, digests, hashes = (saved[name].numpy() for name in _BEFORE)
    card = json.loads(text.tobytes())
    compared = np.full(len(digests), card["coverage"] == COVERAGE)
    return Seen((card,), Photos(digests, hashes, np.zeros_like(hashes), compared))


def _listed(path: Path, digest: str) -> tuple[Path, Seen]:
    """Find the list of photos that weights refer to."""
    folder = path.absolute().parent
    places = [place / PHOTOS for place in (folder, folder.parent) if (place / PHOTOS).is_file()]
    for place in places:
        seen = read_photos(place)
        if seen.digest == digest:
            return place, seen
    fault = f"{places[0]} is another" if places else "it is neither beside it nor one folder above"
    raise DataError(
        f"{path}: the photos that it was trained on are in a list {PHOTOS}, but {fault}; without "
        f"it nobody knows whether a photo was trained on that is tested: copy {PHOTOS} along, from "
        f"the folder of the setting that trained these weights"
    )


def _imagenet() -> Weights:
    """Read torchvision's ImageNet weights from torch's cache, downloaded on first use."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET_URL.rpartition("/")[2]
    prefix = path.stem.rpartition("-")[2]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(IMAGENET_URL, str(path), prefix, progress=False)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"The ImageNet weights could not be downloaded from {IMAGENET_URL} ({error}). "
                f"Place the file {path.name} into the folder {path.parent}, or set model.weights "
                f"to a path or to none"
            ) from error
    digest = _digest_as_named(
        path, "Delete it, so that it is downloaded anew, or place the right one there"
    )
    return Weights(IMAGENET, _load(path), digest, (path,))


def _efficientnet_lite0() -> Weights:
    """Read the weights of a package."""
    path = efficientnet_lite0.weights_file()
    digest = _digest_as_named(path, f"Install {efficientnet_lite0.PACKAGE} anew")
    state = efficientnet_lite0.in_timms_names(_load(path))
    return Weights(EFFICIENTNET_LITE0, state, digest, (path,))


def _digest_as_named(path: Path, remedy: str) -> str:
    """Give the SHA-256 of a file of ImageNet weights whose name ends with its first digits.

    Raises:
        DataError: It has another.
    """
    prefix, digest = path.stem.rpartition("-")[2], file_digest(path)
    if not digest.startswith(prefix):
        raise DataError(
            f"{path} is not the file of ImageNet weights whose name it has: its SHA-256 begins "
            f"with {digest[: len(prefix)]}, not {prefix}. {remedy}"
        )
    return digest


NAMED: Mapping[str, Callable[[], Weights]] = {
    IMAGENET: _imagenet,
    EFFICIENTNET_LITE0: _efficientnet_lite0,
}
"""Weights that are known by a name, and what reads them."""
