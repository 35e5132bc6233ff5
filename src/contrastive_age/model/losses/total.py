"""The one registry of loss terms, and their weighted sum over one batch (Eq. 7)."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from contrastive_age.model.losses.cosine import cosine_loss
from contrastive_age.model.losses.kl import kl_loss
from contrastive_age.model.losses.mean import mean_loss
from contrastive_age.model.losses.softmax import softmax_loss
from contrastive_age.model.losses.triplet import triplet_loss
from contrastive_age.model.losses.variance import variance_loss
from contrastive_age.model.network import Outputs
from contrastive_age.model.weighting import LossWeights, Supervise


class TripletPositions(NamedTuple):
    """Which rows of a forwarded batch form triplets.

    Attributes:
        anchor: Row of each anchor, int64 (b,).
        positive: Row of its positive, int64 (b,); any valid row where there is none.
        negative: Row of its negative, likewise.
        has_positive: Whether the anchor has a positive, bool (b,).
        has_negative: Whether it has a negative, bool (b,).
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
        logits: (m, A).
        probabilities: Their softmax, (m, A).
        rows: The images that carry the supervised terms.
        ages: Class numbers of these, int64.
        triplets: Positions of b triplets among the m images.
    """

    features: Tensor
    logits: Tensor
    probabilities: Tensor
    rows: Tensor | slice
    ages: Tensor
    triplets: TripletPositions

    def pairs(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Give the values of anchors and positives, (b, ...) each, from those of all images."""
        return values[self.triplets.anchor], values[self.triplets.positive]

    def triples(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the values of anchors, positives and negatives, likewise."""
        return *self.pairs(values), values[self.triplets.negative]


@dataclass(frozen=True)
class Term:
    """What the total and the figures know of a loss term.

    Attributes:
        title: What figures call it.
        weight: Its weight's name in `LossWeights`; None for the term whose weight is 1.
        values: Gives the loss of each supervised image, (n,), or of each anchor, (b,).
        over: What its mean is over: `images`, or the anchors with a positive (`pairs`) or with a
            negative, too (`triplets`).
    """

    title: str
    weight: str | None
    values: Callable[[Forwarded, LossWeights], Tensor]
    over: Literal["images", "pairs", "triplets"] = "images"


LOSSES: dict[str, Term] = {
    "softmax": Term("Softmax", None, lambda x, _: softmax_loss(x.logits[x.rows], x.ages)),
    "mean": Term("Mean", "lambda_m", lambda x, _: mean_loss(x.probabilities[x.rows], x.ages)),
    "variance": Term("Variance", "lambda_v", lambda x, _: variance_loss(x.probabilities[x.rows])),
    "cosine": Term(
        "Cosine similarity", "lambda_c", lambda x, _: cosine_loss(*x.pairs(x.features)), "pairs"
    ),
    "triplet": Term(
        "Triplet margin",
        "lambda_t",
        lambda x, weights: triplet_loss(*x.triples(x.probabilities), weights.margin),
        "triplets",
    ),
    "kl": Term("KL divergence", "lambda_k", lambda x, _: kl_loss(*x.pairs(x.logits)), "pairs"),
}
"""The terms by the columns of a training's history, in the order in which they are summed."""

TOTAL = "total"
"""The column of their weighted sum."""


def titles() -> dict[str, str]:
    """Give what figures call the loss columns of a history, the total first."""
    return {TOTAL: "Total, weighted"} | {name: term.title for name, term in LOSSES.items()}


def total_loss(
    outputs: Outputs,
    age_index: Tensor,
    triplets: TripletPositions,
    weights: LossWeights,
    supervise: Supervise,
) -> dict[str, Tensor]:
    r"""Give L_{total} = L_s + \sum_i \lambda_i L_i and its terms, without waiting for the device.

    Pair terms count only anchors with a positive, the triplet term only those with a negative too;
    each is the mean over those, and 0 where there are none. Terms of weight 0 are reported, without
    gradient.

    Args:
        outputs: Of all m forwarded images, as one batch.
        age_index: Class number of each forwarded image's age, int64 (m,).
        triplets: Positions of b triplets among the m images.
        weights: The lambdas and the margin.
        supervise: Whether the anchors or all forwarded images carry the terms over images.

    Returns:
        Scalars: the weighted sum as `total`, then the unweighted mean of each of `LOSSES`.
    """
    rows = triplets.anchor if supervise == "anchor" else slice(None)
    probabilities = outputs.logits.softmax(dim=1)
    batch = Forwarded(*outputs, probabilities, rows, age_index[rows], triplets)
    valid = {
        "images": None,
        "pairs": triplets.has_positive,
        "triplets": triplets.has_positive & triplets.has_negative,
    }
    terms, weighted = {}, []
    for name, term in LOSSES.items():
        weight = getattr(weights, term.weight) if term.weight else 1
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
            terms[name] = _average(term.values(batch, weights), valid[term.over])
        weighted.append(weight * terms[name])
    return {TOTAL: functools.reduce(torch.add, weighted), **terms}


def _average(values: Tensor, valid: Tensor | None) -> Tensor:
    """Average over the valid values; 0, still attached to the graph, where there are none."""
    if valid is None:
        return values.sum() / max(len(values), 1)
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(min=1)
