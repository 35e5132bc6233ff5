"""The variance loss L_v: how widely the predicted distribution spreads (Eq. 4)."""

from contrastive_age.model.losses.term import Tensor, Term, class_numbers


def variance_loss(probabilities: Tensor) -> Tensor:
    r"""Give L_v = \sum_j s_{a,j} (j - \sum_k k s_{a,k})^2 of each image.

    Args:
        probabilities: Softmax vectors, (n, A).

    Returns:
        (n,), in years squared.
    """
    classes = class_numbers(probabilities)
    deviation = classes - (probabilities @ classes)[:, None]
    return (probabilities * deviation.square()).sum(dim=1)


TERM = Term(
    "variance",
    "Variance",
    "lambda_v",
    lambda batch: variance_loss(batch.probabilities[batch.rows]),
)
