"""The loss terms, one a file, and their weighted sum. Nothing here imports torch at once."""

from contrastive_age.model.losses.registry import (
    LOSSES,
    TOTAL,
    LossWeights,
    Supervise,
    titles,
)
from contrastive_age.model.losses.term import Forwarded, Term, TripletPositions
from contrastive_age.model.losses.total import total_loss

__all__ = [
    "LOSSES",
    "TOTAL",
    "Forwarded",
    "LossWeights",
    "Supervise",
    "Term",
    "TripletPositions",
    "titles",
    "total_loss",
]
