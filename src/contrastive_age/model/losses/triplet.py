"""The triplet margin loss L_t on softmax vectors (Eq. 6)."""

from contrastive_age.model.losses.term import Tensor, Term


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    r"""Give L_t = \max(\|s_a - s_p\|^2 - \|s_a - s_n\|^2 + \alpha, 0) of each triplet.

    Args:
        anchor: Softmax vectors of the anchors, (b, A).
        positive: Softmax vectors of their positives, (b, A).
        negative: Softmax vectors of their negatives, (b, A).
        margin: alpha, which the paper does not give.

    Returns:
        (b,).
    """
    from torch.nn.functional import mse_loss, relu

    nearer = mse_loss(anchor, positive, reduction="none").sum(dim=1)
    farther = mse_loss(anchor, negative, reduction="none").sum(dim=1)
    return relu(nearer - farther + margin)


TERM = Term(
    "triplet",
    "Triplet margin",
    "lambda_t",
    lambda batch: triplet_loss(*batch.triples(batch.probabilities), batch.weights.margin),
    over="triplets",
)
