"""How the loss terms are weighed, and which images carry them: values, without torch."""

from typing import Literal

from pydantic import NonNegativeFloat
from pydantic.dataclasses import dataclass

from contrastive_age.strict import STRICT

Supervise = Literal["anchor", "all"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossWeights:
    """The weights of Eq. 7 beside the softmax loss, whose weight is 1, and the margin of Eq. 6.

    Without any weight the total is plain cross entropy.

    Raises:
        ValueError: A value is negative or not finite.
    """

    lambda_m: NonNegativeFloat = 0.0
    lambda_v: NonNegativeFloat = 0.0
    lambda_c: NonNegativeFloat = 0.0
    lambda_t: NonNegativeFloat = 0.0
    lambda_k: NonNegativeFloat = 0.0
    margin: NonNegativeFloat
