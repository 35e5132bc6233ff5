"""Rank-N-Contrast: images should be as far apart as their ages rank them."""

from contrastive_age.model.losses.between import distances, years_between
from contrastive_age.model.losses.term import Tensor, Term


def rnc_loss(features: Tensor, ages: Tensor, temperature: float) -> Tensor:
    r"""Give -\frac{1}{n (n - 1)} \sum_i \sum_{j \ne i} \log (e^{s_{ij}} / \sum_k e^{s_{ik}}).

    Where s_{ij} = -\|f_i - f_j\|_2 / \tau, and k are all but i whose ages are as far from that of
    i as that of j, or farther: |y_i - y_k| \ge |y_i - y_j|. Zha, Cao, Son, Yang and Katabi,
    Rank-N-Contrast: Learning Continuous Representations for Regression (NeurIPS 2023).

    Sorted by the distance in years, the farthest first, each denominator is a sum so far: n^2
    numbers and a sort, not n^3.

    Args:
        features: Not normalised, of two views of each image, (n, D).
        ages: Class numbers, int64 (n,).
        temperature: tau; the authors' is 2.

    Returns:
        A scalar, in nats; 0 of one image.
    """
    import torch

    number = len(features)
    # Oneself is in no sum: nearer than all others, and left out behind them.
    years = years_between(ages).fill_diagonal_(-1)
    order = years.argsort(dim=1, descending=True, stable=True)[:, :-1]
    nearing = -years.gather(1, order)
    first = torch.searchsorted(nearing, nearing)
    end = torch.searchsorted(nearing, nearing, right=True)
    # All of one distance have the same denominator, which is whole at the last of them.
    last = end == torch.arange(1, number, device=ages.device)
    similarities = (-distances(features) / temperature).gather(1, order)
    denominators = similarities.logcumsumexp(dim=1) * ((end - first) * last)
    return (denominators - similarities).sum() / max(number * (number - 1), 1)


TERM = Term(
    "rnc",
    "Rank-N-Contrast",
    "lambda_rnc",
    lambda batch: rnc_loss(batch.features, batch.ages, batch.weights.rnc_temperature),
    over="batch",
    options={"rnc_temperature": 2.0},
    views=2,
)
