"""Weights from faces, as a file that cannot be parted from its card.

The file is a state dict like any other, so that whatever reads torch's weights reads it. Three more
tensors of bytes name what it was made from: the card, and by what the photos are known again, so
that nobody tests on them unawares.
"""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive_age.model.network import AgeClasses, AgeNetwork
from contrastive_age.protocols.overlap import DIGEST_BYTES, HASH_BYTES, Fingerprints

CARD = "pretraining.card"
DIGESTS = "pretraining.digests"
HASHES = "pretraining.hashes"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What weights were made from.

    Attributes:
        card: What JSON can hold: `name`, `sources`, `n`, `identities`, `data_hash`, `epochs`,
            `image_size`, `licence`, `data`, `parameters`, `made_from`, `seconds`.
        photos: By what its photos are known again.
    """

    card: Mapping[str, Any]
    photos: Fingerprints


def with_card(state: Mapping[str, Tensor], pretrained: Pretrained) -> dict[str, Tensor]:
    """Add to a state dict what it was made from.

    Args:
        state: Of a trained network.
        pretrained: The card and the photos.
    """
    text = json.dumps(dict(pretrained.card), allow_nan=False).encode()
    return dict(state) | {
        CARD: torch.from_numpy(np.frombuffer(text, np.uint8).copy()),
        DIGESTS: torch.from_numpy(pretrained.photos.digests.copy()),
        HASHES: torch.from_numpy(pretrained.photos.hashes.copy()),
    }


def read_pretrained(path: Path) -> Pretrained | None:
    """Read what the weights of a file were made from.

    Args:
        path: A file of weights.

    Returns:
        None for a file without a card, and for one that cannot be read: who loads the weights
        says what is wrong with it.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return _pretrained(found)
    except (
        OSError,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ):
        return None


def keep_known_ages(network: AgeNetwork, classes: AgeClasses, path: Path) -> int:
    """Give a network the pretrained classifier's rows of all ages that both know.

    Other classes give the linear layer another shape, so that it was drawn at random as a whole;
    but a row is an age, and what the pretraining learned of it holds whatever its number is.

    Args:
        network: Changed in place; its backbone has the weights already.
        classes: Of the network.
        path: Of the weights.

    Returns:
        The number of ages that were kept; 0 for a file without a card.
    """
    pretrained = read_pretrained(path)
    if pretrained is None:
        return 0
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    known = AgeClasses(pretrained.card["age_min"], pretrained.card["age_max"])
    ages = np.intersect1d(classes.values.numpy(), known.values.numpy()).astype(np.int64)
    theirs, ours = known.index(ages), classes.index(ages)
    with torch.no_grad():
        network.fc.weight[ours] = found["fc.weight"][theirs]
        network.fc.bias[ours] = found["fc.bias"][theirs]
    return len(ages)


def _pretrained(found: Mapping[str, Tensor]) -> Pretrained:
    card = json.loads(found[CARD].numpy().tobytes())
    digests = found[DIGESTS].numpy().reshape(-1, DIGEST_BYTES).copy()
    hashes = found[HASHES].numpy().reshape(-1, HASH_BYTES).copy()
    return Pretrained(card, Fingerprints(digests, hashes))
