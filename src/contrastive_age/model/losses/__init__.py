"""The loss terms, one a file, and their weighted sum."""

from contrastive_age.model.losses.cosine import cosine_loss
from contrastive_age.model.losses.kl import kl_loss
from contrastive_age.model.losses.mean import mean_loss
from contrastive_age.model.losses.softmax import softmax_loss
from contrastive_age.model.losses.total import (
    LOSSES,
    TOTAL,
    Forwarded,
    Term,
    TripletPositions,
    titles,
    total_loss,
)
from contrastive_age.model.losses.triplet import triplet_loss
from contrastive_age.model.losses.variance import variance_loss
from contrastive_age.model.weighting import LossWeights, Supervise

__all__ = [
    "LOSSES",
    "TOTAL",
    "Forwarded",
    "LossWeights",
    "Supervise",
    "Term",
    "TripletPositions",
    "cosine_loss",
    "kl_loss",
    "mean_loss",
    "softmax_loss",
    "titles",
    "total_loss",
    "triplet_loss",
    "variance_loss",
]
