"""The mean loss L_m: how far the expected age is from the true one (Eq. 3)."""

from contrastive_age.model.losses.term import Tensor, Term


def mean_loss(expected: Tensor, age_index: Tensor) -> Tensor:
    r"""Give L_m = \frac{1}{2} (\sum_j j s_{a,j} - y_a)^2 of each image.

    Eq. 3 is signed; squared and halved it is the loss of the mean-variance paper that it cites.
    Counting classes from 0 instead of years changes nothing: mean and label shift alike.

    Args:
        expected: Class number that is expected of each image, (n,).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), in years squared.
    """
    from torch.nn.functional import mse_loss

    return mse_loss(expected, age_index.to(expected.dtype), reduction="none") / 2


TERM = Term("mean", "Mean", "lambda_m", lambda batch: mean_loss(batch.expected, batch.ages))
