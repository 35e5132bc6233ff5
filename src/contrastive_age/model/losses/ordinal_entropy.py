"""Ordinal entropy: ages should lie apart, in their order, and each of them close together."""

from contrastive_age.model.losses.between import distances, root, units, years_between
from contrastive_age.model.losses.term import Tensor, Term


def ordinal_entropy_loss(features: Tensor, ages: Tensor) -> Tensor:
    r"""Give \frac{1}{n} \sum_i \|f_i - c_{y_i}\| less the mean over a < b of w_{ab} \|c_a - c_b\|.

    Where f are features of length 1, c_a the mean of those of age a in the batch, and w_{ab} =
    |a - b| as a part of the largest such distance. Zhang, Yang, Mi, Zheng and Yao, Improving Deep
    Regression with Ordinal Entropy (ICLR 2023). The authors' code for ages squares the first norm,
    scales centres to length 1, and takes the smallest distance from all before it scales them.

    Args:
        features: (n, D).
        ages: Class numbers, int64 (n,).

    Returns:
        A scalar between -2 and 2; of one age the first part alone.
    """
    directions, years = units(features), years_between(ages)
    same = (years == 0).to(directions.dtype)
    share = 1 / same.sum(dim=1)
    centres = same @ directions * share[:, None]
    tightness = root((directions - centres).square().sum(dim=1)).mean()
    # An image stands for its share of its age, so that each pair of ages counts once.
    pairs = (years > 0) * share[:, None] * share
    weights = pairs * years / years.max().clamp(min=1)
    spread = (weights * distances(centres)).sum() / pairs.sum().clamp(min=1)
    return tightness - spread


TERM = Term(
    "ordinal_entropy",
    "Ordinal entropy",
    "lambda_ordinal_entropy",
    lambda batch: ordinal_entropy_loss(batch.features, batch.ages),
    over="batch",
)
