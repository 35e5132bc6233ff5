"""The weighted sum of the loss terms over one batch (Eq. 7)."""

import functools
from typing import TYPE_CHECKING

from contrastive_age.model.losses.registry import LOSSES, TOTAL, LossWeights, Supervise
from contrastive_age.model.losses.term import Forwarded, Tensor, TripletPositions

if TYPE_CHECKING:
    from contrastive_age.model.network import Outputs


def total_loss(
    outputs: "Outputs",
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
    import torch

    rows = triplets.anchor if supervise == "anchor" else slice(None)
    probabilities = outputs.logits.softmax(dim=1)
    batch = Forwarded(
        *outputs, probabilities, rows, age_index[rows], triplets, margin=weights.margin
    )
    valid = {
        "images": None,
        "pairs": triplets.has_positive,
        "triplets": triplets.has_positive & triplets.has_negative,
    }
    terms, weighted = {}, []
    for name, term in LOSSES.items():
        weight = getattr(weights, term.weight) if term.weight else 1
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
            terms[name] = _average(term.values(batch), valid[term.over])
        weighted.append(weight * terms[name])
    return {TOTAL: functools.reduce(torch.add, weighted), **terms}


def _average(values: Tensor, valid: Tensor | None) -> Tensor:
    """Average over the valid values; 0, still attached to the graph, where there are none."""
    if valid is None:
        return values.sum() / max(len(values), 1)
    return values.where(valid, 0).sum() / valid.sum().clamp(min=1)
