"""DLDL-v2: the label distribution and its mean at once (Gao et al., 2018)."""

from contrastive_age.model.losses.dldl import dldl_loss
from contrastive_age.model.losses.term import Tensor, Term


def dldl_v2_loss(
    log_probabilities: Tensor, expected: Tensor, age_index: Tensor, sigma: float
) -> Tensor:
    r"""Give L = L_{DLDL} + |\sum_j j s_j - y| of each image.

    Source: Gao, Zhou, Wu and Geng, "Age Estimation Using Expectation of Label Distribution
    Learning", IJCAI 2018, whose weight of the second part is 1.

    Args:
        log_probabilities: Log-softmax vectors, (n, A).
        expected: Class number that is expected of each image, (n,).
        age_index: Class number of each image's age, int64 (n,).
        sigma: Standard deviation of the label in years; the authors' is 2.

    Returns:
        (n,), in nats and years.
    """
    return dldl_loss(log_probabilities, age_index, sigma) + (expected - age_index).abs()


TERM = Term(
    "dldl_v2",
    "DLDL-v2",
    "lambda_dldl_v2",
    lambda batch: dldl_v2_loss(
        batch.log_probabilities, batch.expected, batch.ages, batch.weights.dldl_v2_sigma
    ),
    options={"dldl_v2_sigma": 2.0},
)
