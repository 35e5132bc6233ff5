"""The unimodal loss: probabilities must not rise away from the true age (Li et al., 2022)."""

from contrastive_age.model.losses.term import Tensor, Term, years_from_label


def unimodal_loss(probabilities: Tensor, age_index: Tensor) -> Tensor:
    r"""Give L = \sum_{j < y} \max(s_j - s_{j+1}, 0) + \sum_{j \ge y} \max(s_{j+1} - s_j, 0).

    Source: Li et al., "Unimodal-Concentrated Loss: Fully Adaptive Label Distribution Learning for
    Ordinal Regression", CVPR 2022; its weight is 1000. It is 0 for every distribution that rises up
    to the true class and falls behind it, so that it needs another loss beside it.

    Args:
        probabilities: Softmax vectors, (n, A).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), between 0 and 1.
    """
    from torch.nn.functional import relu

    rise = probabilities.diff(dim=1)
    before = years_from_label(rise, age_index) < 0
    return relu(rise.where(~before, -rise)).sum(dim=1)


TERM = Term(
    "unimodal",
    "Unimodal",
    "lambda_unimodal",
    lambda batch: unimodal_loss(batch.probabilities, batch.ages),
)
