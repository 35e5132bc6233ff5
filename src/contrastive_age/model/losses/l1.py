"""Regression: the absolute error of one number, as a control without classes."""

from contrastive_age.model.losses.term import Tensor, Term


def l1_loss(value: Tensor, age_index: Tensor) -> Tensor:
    """Give L = |v - y| of each image.

    Args:
        value: The regressed class number, (n,).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), in years.
    """
    return (value - age_index).abs()


TERM = Term(
    "l1",
    "L1 regression",
    "lambda_l1",
    lambda batch: l1_loss(batch.scores[:, 0], batch.ages),
    head="regression",
)
