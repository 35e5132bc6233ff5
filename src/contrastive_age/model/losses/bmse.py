"""Balanced MSE: regression that does not lean to the ages of most images (Ren et al., 2022)."""

from contrastive_age.model.losses.term import Tensor, Term


def bmse_loss(value: Tensor, log_sigma: Tensor, age_index: Tensor, supervised: Tensor) -> Tensor:
    r"""Give L = -2 \sigma^2 \log \mathrm{softmax}_j(-(v_i - y_j)^2 / 2 \sigma^2)_i of each image i.

    Source: Ren, Zhang, Yu and Liu, "Balanced MSE for Imbalanced Visual Regression", CVPR 2022, the
    variant that takes the ages of the batch for those of all images: j runs over the supervised
    ones, and over i itself, so that each loss is finite. The factor before the logarithm carries no
    gradient: it restores the scale of a squared error.

    Args:
        value: The regressed class numbers of a batch, (n,).
        log_sigma: Logarithm of the noise's standard deviation, learned, one number in (n,).
        age_index: Class number of each image's age, int64 (n,).
        supervised: Which of the images learn their age, bool (n,).

    Returns:
        (n,), in years squared.
    """
    import torch

    variance = (2 * log_sigma).exp()
    logits = -(value[:, None] - age_index).square() / (2 * variance[:, None])
    itself = torch.eye(len(value), dtype=torch.bool, device=value.device)
    logits = logits.masked_fill(~(supervised | itself), -torch.inf)
    return -(2 * variance.detach()) * logits.log_softmax(dim=1).diagonal()


TERM = Term(
    "bmse",
    "Balanced MSE",
    "lambda_bmse",
    lambda batch: bmse_loss(batch.scores[:, 0], batch.scores[:, 1], batch.ages, batch.supervised),
    head="noisy",
)
