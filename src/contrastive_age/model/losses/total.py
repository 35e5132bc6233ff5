"""The weighted sum of all loss terms over one batch (Eq. 7)."""

from collections.abc import Callable
from typing import NamedTuple

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


class LossTerms(NamedTuple):
    """The mean of every term over a batch, unweighted, and their weighted total; scalars each."""

    total: Tensor
    softmax: Tensor
    mean: Tensor
    variance: Tensor
    cosine: Tensor
    triplet: Tensor
    kl: Tensor


def total_loss(
    outputs: Outputs,
    age_index: Tensor,
    triplets: TripletPositions,
    weights: LossWeights,
    supervise: Supervise,
) -> LossTerms:
    r"""Give L_{total} = L_s + \sum_i \lambda_i L_i and its terms, without waiting for the device.

    Pair terms count only anchors with a positive, the triplet term only those with a negative too;
    each is the mean over those, and 0 where there are none. Terms of weight 0 are reported, without
    gradient.

    Args:
        outputs: Of all m forwarded images, as one batch.
        age_index: Class number of each forwarded image's age, int64 (m,).
        triplets: Positions of b triplets among the m images.
        weights: The lambdas and the margin.
        supervise: Whether the anchors or all forwarded images carry L_s, L_m and L_v.
    """
    rows = triplets.anchor if supervise == "anchor" else slice(None)
    ages = age_index[rows]
    features, logits = outputs
    probabilities = logits.softmax(dim=1)
    anchor, positive, negative, has_positive, has_negative = triplets

    def term(weight: float, loss: Callable[[], Tensor], valid: Tensor | None = None) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
            return _average(loss(), valid)

    softmax = term(1, lambda: softmax_loss(logits[rows], ages))
    mean = term(weights.lambda_m, lambda: mean_loss(probabilities[rows], ages))
    variance = term(weights.lambda_v, lambda: variance_loss(probabilities[rows]))
    cosine = term(
        weights.lambda_c, lambda: cosine_loss(features[anchor], features[positive]), has_positive
    )
    triplet = term(
        weights.lambda_t,
        lambda: triplet_loss(
            probabilities[anchor], probabilities[positive], probabilities[negative], weights.margin
        ),
        has_positive & has_negative,
    )
    kl = term(weights.lambda_k, lambda: kl_loss(logits[anchor], logits[positive]), has_positive)
    total = (
        softmax
        + weights.lambda_m * mean
        + weights.lambda_v * variance
        + weights.lambda_c * cosine
        + weights.lambda_t * triplet
        + weights.lambda_k * kl
    )
    return LossTerms(total, softmax, mean, variance, cosine, triplet, kl)


def _average(values: Tensor, valid: Tensor | None) -> Tensor:
    """Average over the valid values; 0, still attached to the graph, where there are none."""
    if valid is None:
        return values.sum() / max(len(values), 1)
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(min=1)
