"""The cosine loss L_c: features of two people of one age should point the same way (Eq. 2)."""

from contrastive_age.model.losses.term import Tensor, Term

EPS = 1e-16
"""Added to a mean square, so that a vector of zeros has a gradient."""


def cosine_loss(anchor: Tensor, positive: Tensor) -> Tensor:
    r"""Give L_c = 1 - f_a^T f_p / (\|f_a\| \|f_p\|) of each pair.

    Eq. 2 is the similarity itself, which would be minimised; one minus it is meant.

    Args:
        anchor: Features of the anchors, (b, D).
        positive: Features of their positives, (b, D).

    Returns:
        (b,), between 0 and 2.
    """
    from torch.nn.functional import rms_norm

    # Vectors whose components have a mean square of 1: the mean of their product is the cosine.
    size = anchor.shape[1:]
    return 1 - (rms_norm(anchor, size, eps=EPS) * rms_norm(positive, size, eps=EPS)).mean(dim=1)


TERM = Term(
    "cosine",
    "Cosine similarity",
    "lambda_c",
    lambda batch: cosine_loss(*batch.pairs(batch.features)),
    over="pairs",
)
