"""The one registry of loss terms, and the parameters that it makes of their weights."""

import dataclasses
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeFloat
from pydantic.dataclasses import dataclass

from contrastive_age.model.losses import (
    cosine,
    kl,
    kl_printed,
    mean,
    softmax,
    triplet,
    variance,
)
from contrastive_age.model.losses.term import Term
from contrastive_age.strict import STRICT

LOSSES = {
    term.name: term
    for term in (
        softmax.TERM,
        mean.TERM,
        variance.TERM,
        cosine.TERM,
        triplet.TERM,
        kl.TERM,
        kl_printed.TERM,
    )
}
"""The terms by the columns of a training's history, in the order in which they are summed."""

TOTAL = "total"
"""The column of their weighted sum."""

Supervise = Literal["anchor", "all"]
"""Which images carry the terms over images."""

IN_EVERY_KEY = ("lambda_m", "lambda_v", "lambda_c", "lambda_t", "lambda_k")
"""The weights that a setting's key counts even where they are 0; others only above it."""


def titles() -> dict[str, str]:
    """Give what figures call the loss columns of a history, the total first."""
    return {TOTAL: "Total, weighted"} | {name: term.title for name, term in LOSSES.items()}


def weights_of(terms: Iterable[Term]) -> Any:
    """Make the class of the weights of terms, see `LossWeights`."""
    names = [term.weight for term in terms if term.weight]
    fields = {
        name: Field(default=0.0, exclude_if=None if name in IN_EVERY_KEY else operator.not_)
        for name in names
    }
    annotations = dict.fromkeys([*names, "margin"], NonNegativeFloat)
    body = {"__module__": __name__, "__annotations__": annotations, **fields}
    return dataclass(frozen=True, kw_only=True, config=STRICT)(type("LossWeights", (), body))


if TYPE_CHECKING:

    @dataclasses.dataclass(frozen=True)
    class LossWeights:
        """The weights of Eq. 7 beside the softmax loss, whose weight is 1, and the margin of Eq. 6.

        Each term of the registry has a field of its weight, 0 where it is not given. Without any
        weight the total is plain cross entropy.

        Raises:
            ValueError: A value is negative or not finite, or a weight is no term's.
        """

        margin: float

        def __init__(self, *, margin: float, **weights: float) -> None: ...

else:
    LossWeights = weights_of(LOSSES.values())
