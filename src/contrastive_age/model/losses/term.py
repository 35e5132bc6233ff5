"""What a loss term is: its names, its weight's, and a function of a forwarded batch.

Commands read the names, so that no loss imports torch before it is computed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

    from contrastive_age.model.losses.registry import LossWeights

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
    """A forwarded batch of m views, as the loss terms see it: one or two of each image.

    Of two views the first k = m / 2 rows are the first of all images, the others the second of the
    same images.

    Attributes:
        features: (m, D).
        scores: What the network's head gives for its own loss, (m, ...); None where it has none.
        log_probabilities: Log-softmax vectors, (m, A).
        probabilities: Softmax vectors, (m, A).
        expected: Their means over class numbers, (m,).
        ages: True class numbers, int64 (m,).
        supervised: Which views carry the terms over images, bool (m,).
        chosen: A one in each row at the anchor's, positive's or negative's place, (3, b, m).
        weights: Of the terms, with their options and the margin.
    """

    features: Tensor
    scores: Any
    log_probabilities: Tensor
    probabilities: Tensor
    expected: Tensor
    ages: Tensor
    supervised: Tensor
    chosen: Tensor
    weights: "LossWeights"

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
    """Give 0..A-1 in the type and on the device of vectors such as a softmax's, (n, A)."""
    import torch

    number = probabilities.shape[1]
    return torch.arange(number, dtype=probabilities.dtype, device=probabilities.device)


def years_from_label(values: Tensor, age_index: Tensor) -> Tensor:
    """Give how many years each class is above the true one, (n, A) in the type of such values."""
    return class_numbers(values) - age_index[:, None]


@dataclass(frozen=True)
class Term:
    """What the total, the parameters and the figures know of a loss term.

    Attributes:
        name: Its column in a training's history.
        title: What figures and tables call it.
        weight: The parameter of its weight, such as `lambda_c`.
        values: Gives the loss of each image, (m,), of each anchor, (b,), or of the batch, ().
        over: What its mean is over: the supervised `images`, the anchors with a positive (`pairs`)
            or with a negative, too (`triplets`). Of a `batch` it is one number of all its views.
        options: Its further parameters with their defaults. One whose default is 0 is a share,
            below 1; any other is above 0.
        head: The name in `heads.HEADS` of the head that it needs.
        views: How many views of every image are forwarded where it acts.
        default: Its weight where none is given.
    """

    name: str
    title: str
    weight: str
    values: Callable[[Forwarded], Tensor]
    over: Literal["images", "pairs", "triplets", "batch"] = "images"
    options: Mapping[str, float] = field(default_factory=dict)
    head: str | None = None
    views: int = 1
    default: float = 0.0
