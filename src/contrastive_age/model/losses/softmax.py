"""The softmax loss L_s: cross entropy of the age classes."""

from contrastive_age.model.losses.term import Tensor, Term


def softmax_loss(log_probabilities: Tensor, age_index: Tensor) -> Tensor:
    r"""Give L_s = -\log s_{a,y} of each image.

    Args:
        log_probabilities: Log-softmax vectors, (n, A).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), in nats.
    """
    from torch.nn.functional import nll_loss

    return nll_loss(log_probabilities, age_index, reduction="none")


TERM = Term(
    "softmax", "Softmax", None, lambda batch: softmax_loss(batch.log_probabilities, batch.ages)
)
