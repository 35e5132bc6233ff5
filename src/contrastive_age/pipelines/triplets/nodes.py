"""Folds to a triplet index."""

import logging
from typing import TYPE_CHECKING

import pandas as pd

from contrastive_age.files import fingerprint
from contrastive_age.params import Effective
from contrastive_age.pipelines.splitting.nodes import check_made_for

if TYPE_CHECKING:
    from contrastive_age.triplets.index import TripletIndex

logger = logging.getLogger(__name__)


def training_part(folds: pd.DataFrame, fold: int) -> pd.DataFrame:
    """The rows that train in a fold: those tested in another one, in the order of the table."""
    return folds[folds["fold"] != fold]


def index(folds: pd.DataFrame, setting: Effective, fold: int) -> "TripletIndex":
    """Index positives and negatives of a fold's training part.

    Args:
        folds: The protocol's folds.
        setting: The protocol's effective values.
        fold: The fold that is tested.

    Raises:
        DataError: The folds were made with other parameters.
    """
    from contrastive_age.triplets.index import build_index

    check_made_for(folds, setting)
    part = training_part(folds, fold)
    built = build_index(
        part["age"].to_numpy(),
        part["identity"].to_numpy(),
        fingerprint=fingerprint(folds.attrs.get("fingerprint"), fold),
    )
    counts = built.counts
    logger.info(
        "%s, fold %d: %d anchors, %d without a positive",
        setting.protocol,
        fold,
        counts["anchors"],
        counts["without_positive"],
    )
    return built
