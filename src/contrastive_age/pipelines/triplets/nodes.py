"""Folds to a triplet index."""

import logging
from typing import TYPE_CHECKING

import pandas as pd

from contrastive_age.parameters.origins import triplets_fingerprint
from contrastive_age.parameters.setting import Setting
from contrastive_age.pipelines.splitting.nodes import training_part

if TYPE_CHECKING:
    from contrastive_age.triplets.index import TripletIndex

logger = logging.getLogger(__name__)


def index(
    samples: pd.DataFrame, folds: pd.DataFrame, setting: Setting, fold: int | None
) -> "TripletIndex":
    """Index positives and negatives of a fold's training part.

    Args:
        samples: The source's samples.
        folds: The protocol's folds.
        setting: The protocol's effective values.
        fold: The fold that is tested; None to train on all samples.

    Raises:
        DataError: The folds are of other samples or parameters.
    """
    from contrastive_age.triplets.index import build_index

    part = training_part(folds, samples, setting, fold)
    built = build_index(
        part["age"].to_numpy(),
        part["identity"].to_numpy(),
        fingerprint=triplets_fingerprint(part),
    )
    counts = built.counts
    logger.info(
        "%s, %s: %d anchors, %d without a positive",
        setting.protocol,
        "all samples" if fold is None else f"fold {fold}",
        counts["anchors"],
        counts["without_positive"],
    )
    return built
