"""Folds to a triplet index."""

import logging

import pandas as pd

from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.namespaces import in_words
from contrastive_age.triplets.index import TripletIndex
from contrastive_age.triplets.part import index_of

logger = logging.getLogger(__name__)


def index(
    samples: pd.DataFrame, folds: pd.DataFrame, setting: Setting, fold: int | None
) -> TripletIndex:
    """Index positives and negatives of a fold's training part.

    Args:
        samples: The source's samples.
        folds: The protocol's folds.
        setting: The protocol's effective values.
        fold: The fold that is tested; None to train on all samples.

    Raises:
        DataError: The folds are of other samples or parameters.
    """
    built = index_of(setting.plan.parts(folds, samples, fold).training)
    logger.debug(
        "%s, %s: %d anchors, %d without a positive",
        setting.protocol,
        in_words(fold),
        built.counts["anchors"],
        built.counts["without_positive"],
    )
    return built
