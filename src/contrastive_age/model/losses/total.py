"""The weighted sum of the loss terms over one batch (Eq. 7)."""

from typing import TYPE_CHECKING

from contrastive_age.model.losses.registry import (
    LOSSES,
    TOTAL,
    LossWeights,
    Supervise,
    reported,
)
from contrastive_age.model.losses.term import Forwarded, Tensor, TripletPositions, class_numbers

if TYPE_CHECKING:
    from contrastive_age.model.network import Outputs


def total_loss(
    outputs: "Outputs",
    age_index: Tensor,
    triplets: TripletPositions,
    weights: LossWeights,
    supervise: Supervise,
    *,
    importance: Tensor | None = None,
) -> dict[str, Tensor]:
    r"""Give L_{total} = \sum_i \lambda_i L_i and its terms, without waiting for the device.

    Pair terms count only anchors with a positive, the triplet term only those with a negative too;
    each is the mean over those, and 0 where there are none. The paper's terms of weight 0 are
    reported, without gradient; others are not computed.

    Args:
        outputs: Of all m forwarded views, as one batch.
        age_index: Class number of each forwarded view's age, int64 (m,).
        triplets: Positions of b triplets among the m views.
        weights: The lambdas, the options and the margin.
        supervise: Whether the anchors or all forwarded views carry the terms over images.
        importance: What each forwarded view weighs in these terms, (m,); None where all weigh 1.

    Returns:
        Scalars: the weighted sum as `total`, then the mean of each of `reported` without its
        lambda; images count by their importance in those over images.
    """
    import torch

    log_probabilities = outputs.logits.log_softmax(dim=1)
    probabilities = log_probabilities.exp()
    expected = probabilities @ class_numbers(probabilities)
    chosen = _one_hot(torch.stack(triplets[:3]), outputs.features)
    shares = _shares(triplets, chosen[0], supervise)
    batch = Forwarded(
        outputs.features,
        outputs.scores,
        log_probabilities,
        probabilities,
        expected,
        age_index,
        shares["images"] > 0,
        chosen,
        weights,
    )
    if importance is not None:
        shares["images"] = shares["images"] * importance
    total, terms = expected.new_zeros(()), {}
    for name in reported(weights):
        term = LOSSES[name]
        weight = getattr(weights, term.weight)
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
            values = term.values(batch)
            terms[name] = values if term.over == "batch" else values @ shares[term.over]
        if weight:
            total = total.add(terms[name], alpha=weight)
    return {TOTAL: total, **terms}


def _one_hot(places: Tensor, values: Tensor) -> Tensor:
    """Give vectors (..., m) with a one at each of the places (...) among m values, in their type.

    torch's `one_hot` may look at the places, for which a GPU is waited for.
    """
    import torch

    every = torch.arange(len(values), device=values.device)
    return (places[..., None] == every).to(values.dtype)


def _shares(triplets: TripletPositions, anchors: Tensor, supervise: Supervise) -> dict[str, Tensor]:
    """Give the weight of each value in the mean of a term, by what the mean is over.

    Args:
        triplets: Of b anchors.
        anchors: One-hot vectors of their places, (b, m).
        supervise: Which images count.
    """
    import torch

    has_both = triplets.has_positive & triplets.has_negative
    valid = torch.stack([triplets.has_positive, has_both]).to(anchors.dtype)
    pairs, threes = valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
    number, every = anchors.shape
    if supervise == "anchor":
        images = anchors.sum(dim=0) / max(number, 1)
    else:
        images = anchors.new_full((every,), 1 / max(every, 1))
    return {"images": images, "pairs": pairs, "triplets": threes}
