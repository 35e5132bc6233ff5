"""The loss terms, one a file, and their weighted sum. Nothing here imports torch at once."""

from contrastive_age.model.losses.registry import (
    LOSSES,
    PAPERS,
    TOTAL,
    LossWeights,
    Supervise,
    acting,
    defaults,
    head,
    reported,
    stated,
    titles,
    views,
)
from contrastive_age.model.losses.term import Forwarded, Term, TripletPositions
from contrastive_age.model.losses.total import total_loss

__all__ = [
    "LOSSES",
    "PAPERS",
    "TOTAL",
    "Forwarded",
    "LossWeights",
    "Supervise",
    "Term",
    "TripletPositions",
    "acting",
    "defaults",
    "head",
    "reported",
    "stated",
    "titles",
    "total_loss",
    "views",
]
