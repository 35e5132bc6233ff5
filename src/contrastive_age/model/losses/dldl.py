"""DLDL: the KL divergence from a Gaussian about the true age (Gao et al., 2017)."""

from contrastive_age.model.losses.term import Tensor, Term, years_from_label


def dldl_loss(log_probabilities: Tensor, age_index: Tensor, sigma: float) -> Tensor:
    r"""Give L = \sum_j t_j (\log t_j - \log s_j), t_j \propto \exp(-(j - y)^2 / 2 \sigma^2).

    Source: Gao, Xing, Xie, Wu and Geng, "Deep Label Distribution Learning with Label Ambiguity",
    IEEE Transactions on Image Processing, 2017. The Gaussian sums to 1 over the classes.

    Args:
        log_probabilities: Log-softmax vectors, (n, A).
        age_index: Class number of each image's age, int64 (n,).
        sigma: Standard deviation of the label in years; the authors' is 2.

    Returns:
        (n,), in nats.
    """
    from torch.nn.functional import kl_div

    years = years_from_label(log_probabilities, age_index)
    label = (-(years / sigma).square() / 2).log_softmax(dim=1)
    return kl_div(log_probabilities, label, reduction="none", log_target=True).sum(dim=1)


TERM = Term(
    "dldl",
    "DLDL",
    "lambda_dldl",
    lambda batch: dldl_loss(batch.log_probabilities, batch.ages, batch.weights.dldl_sigma),
    options={"dldl_sigma": 2.0},
)
