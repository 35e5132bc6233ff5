"""OR-CNN: a binary question a year, "older than this?" (Niu et al., 2016)."""

from contrastive_age.model.losses.term import Tensor, Term, class_numbers


def binary_loss(scores: Tensor, age_index: Tensor) -> Tensor:
    r"""Give L = -\sum_{k=0}^{A-2} [y > k] \log \sigma(z_k) + [y \le k] \log(1 - \sigma(z_k)).

    Source: Niu, Zhou, Wang, Gao and Hua, "Ordinal Regression with Multiple Output CNN for Age
    Estimation", CVPR 2016. All questions weigh the same.

    Args:
        scores: Log-odds z_k that an image is of a class above k, (n, A - 1).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), in nats.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    older = (age_index[:, None] > class_numbers(scores)).to(scores.dtype)
    return binary_cross_entropy_with_logits(scores, older, reduction="none").sum(dim=1)


TERM = Term(
    "or_cnn",
    "OR-CNN",
    "lambda_or_cnn",
    lambda batch: binary_loss(batch.scores, batch.ages),
    head="ordinal",
)
