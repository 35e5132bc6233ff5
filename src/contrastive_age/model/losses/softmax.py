"""The softmax loss L_s: cross entropy of the age classes."""

from torch import Tensor
from torch.nn.functional import cross_entropy


def softmax_loss(logits: Tensor, age_index: Tensor) -> Tensor:
    r"""Give L_s = -\log s_{a,y} of each image.

    Args:
        logits: (n, A).
        age_index: Class number of each image's age, int64 (n,).

    Returns:
        (n,), in nats.
    """
    return cross_entropy(logits, age_index, reduction="none")
