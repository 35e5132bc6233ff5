"""SORD: cross entropy to labels that soften with the distance in years (Diaz and Marathe, 2019)."""

from contrastive_age.model.losses.term import Tensor, Term, years_from_label


def sord_loss(log_probabilities: Tensor, age_index: Tensor) -> Tensor:
    r"""Give L = -\sum_j t_j \log s_j, t = \mathrm{softmax}_j(-|j - y|), of each image.

    Source: Diaz and Marathe, "Soft Labels for Ordinal Regression", CVPR 2019.

    Args:
        log_probabilities: Log-softmax vectors, (n, A).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), in nats.
    """
    label = (-years_from_label(log_probabilities, age_index).abs()).softmax(dim=1)
    return -(label * log_probabilities).sum(dim=1)


TERM = Term(
    "sord", "SORD", "lambda_sord", lambda batch: sord_loss(batch.log_probabilities, batch.ages)
)
