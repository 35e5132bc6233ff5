"""The variance loss L_v: how widely the predicted distribution spreads (Eq. 4)."""

from contrastive_age.model.losses.term import Tensor, Term, class_numbers


def variance_loss(probabilities: Tensor, expected: Tensor) -> Tensor:
    r"""Give L_v = \sum_j s_{a,j} (j - \sum_k k s_{a,k})^2 of each image.

    The inner sum carries no gradient: it would be 0, because deviations from a mean cancel.

    Args:
        probabilities: Softmax vectors, (n, A).
        expected: The inner sum of each image, (n,).

    Returns:
        (n,), in years squared.
    """
    deviation = class_numbers(probabilities) - expected.detach()[:, None]
    return (probabilities * deviation.square()).sum(dim=1)


TERM = Term(
    "variance",
    "Variance",
    "lambda_v",
    lambda batch: variance_loss(batch.probabilities, batch.expected),
)
