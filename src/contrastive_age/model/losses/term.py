"""What a loss term is: its names, its weight's, and a function of a forwarded batch.

Commands read the names, so that no loss imports torch before it is computed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

    Tensor = torch.Tensor
else:
    Tensor = Any  # it is for annotations alone


class TripletPositions(NamedTuple):
    """Which rows of a forwarded batch form triplets.

    Attributes:
        anchor: Row of each anchor, int64 (b,).
        positive: Row of its positive, int64 (b,); any valid row where there is none.
        negative: Row of its negative, likewise.
        has_positive: Whether the anchor has a positive, bool or 0 and 1, (b,).
        has_negative: Whether it has a negative, likewise.
    """

    anchor: Tensor
    positive: Tensor
    negative: Tensor
    has_positive: Tensor
    has_negative: Tensor


@dataclass(frozen=True)
class Forwarded:
    """A forwarded batch of m images, as the loss terms see it.

    Attributes:
        features: (m, D).
        log_probabilities: Log-softmax vectors, (m, A).
        probabilities: Softmax vectors, (m, A).
        expected: Their means over class numbers, (m,).
        ages: True class numbers, int64 (m,).
        chosen: A one in each row at the anchor's, positive's or negative's place, (3, b, m).
        margin: Of the triplet term.
    """

    features: Tensor
    log_probabilities: Tensor
    probabilities: Tensor
    expected: Tensor
    ages: Tensor
    chosen: Tensor
    margin: float

    def pairs(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Give the values of anchors and positives, (b, ...) each, from those of all images.

        A sum of one value and zeros is that value, and its gradient is one product. That of an
        index would be added up row by row: in any order, or sorted first.
        """
        anchor, positive = self.chosen[:2] @ values
        return anchor, positive

    def triples(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the values of anchors, positives and negatives, likewise."""
        anchor, positive, negative = self.chosen @ values
        return anchor, positive, negative


def class_numbers(probabilities: Tensor) -> Tensor:
    """Give 0..A-1 in the type and on the device of softmax vectors, (n, A)."""
    import torch

    number = probabilities.shape[1]
    return torch.arange(number, dtype=probabilities.dtype, device=probabilities.device)


@dataclass(frozen=True)
class Term:
    """What the total, the parameters and the figures know of a loss term.

    Attributes:
        name: Its column in a training's history.
        title: What figures call it.
        weight: The parameter of its weight, such as `lambda_c`; None for the term of weight 1.
        values: Gives the loss of each image, (m,), or of each anchor, (b,).
        over: What its mean is over: the supervised `images`, or the anchors with a positive
            (`pairs`) or with a negative, too (`triplets`).
    """

    name: str
    title: str
    weight: str | None
    values: Callable[[Forwarded], Tensor]
    over: Literal["images", "pairs", "triplets"] = "images"
