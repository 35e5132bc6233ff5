"""What losses over all pairs of a batch's images share: who is how far from whom.

All shapes follow from the number of images alone, so that a step can be recorded, and picks are
sums over masks, whose gradients are added up in one order.
"""

import math

from contrastive_age.model.losses.cosine import EPS
from contrastive_age.model.losses.term import Tensor


def years_between(ages: Tensor) -> Tensor:
    """Give |y_i - y_j| of all pairs, int64 (n, n), from class numbers (n,)."""
    return (ages[:, None] - ages).abs()


def others(ages: Tensor) -> Tensor:
    """Tell who is not oneself, bool (n, n)."""
    import torch

    return ~torch.eye(len(ages), dtype=torch.bool, device=ages.device)


def units(features: Tensor) -> Tensor:
    """Scale features (n, D) to length 1; zeros stay zeros, with a finite gradient."""
    from torch.nn.functional import rms_norm

    size = features.shape[1:]
    return rms_norm(features, size, eps=EPS) / math.sqrt(size.numel())


def root(squares: Tensor) -> Tensor:
    """Give square roots; of 0, and of what rounding left below it, 0 with a gradient of 0."""
    import torch

    some = squares > 0
    return torch.where(some, squares, 1).sqrt() * some


def distances(features: Tensor) -> Tensor:
    """Give the Euclidean distances of all pairs of features (n, D), (n, n).

    By their products, since differences would be n times as large as the features. The products
    are those of differences from the mean, which are smaller, and so is what is rounded.
    """
    central = features - features.mean(dim=0)
    products = central @ central.T
    squares = products.diagonal()
    return root(squares[:, None] + squares - 2 * products)


def contrast(similarities: Tensor, positives: Tensor, candidates: Tensor) -> Tensor:
    r"""Give -\frac{1}{|P_i|} \sum_{p \in P_i} \log (e^{s_{ip}} / \sum_{c \in C_i} e^{s_{ic}}).

    Args:
        similarities: s, (n, n).
        positives: Who is in P_i, bool (n, n).
        candidates: Who is in C_i, positives among them, bool (n, n).

    Returns:
        (n,); 0 without gradient where there is no positive.
    """
    # A row without any candidate counts for nothing; with all of them it is finite.
    among = candidates | ~candidates.any(dim=1, keepdim=True)
    of_all = similarities.masked_fill(~among, -math.inf).logsumexp(dim=1)
    number = positives.sum(dim=1)
    of_positives = (similarities * positives).sum(dim=1) / number.clamp(min=1)
    return (of_all - of_positives) * (number > 0)
