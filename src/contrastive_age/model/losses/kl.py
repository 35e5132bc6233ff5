"""The Kullback-Leibler loss L_KLD between the distributions of anchor and positive (Eq. 9)."""

from contrastive_age.model.losses.term import Tensor, Term


def kl_loss(anchor: Tensor, positive: Tensor) -> Tensor:
    r"""Give L_{KLD} = \frac{1}{A} \sum_j s_{p,j} (\log s_{p,j} - \log s_{a,j}) of each pair.

    Eq. 9 lacks the second logarithm; as printed it is `kl_printed_loss`. The logits are taken
    instead of the softmax vectors, because the logarithm of a probability that has vanished would
    be infinite.

    Args:
        anchor: Logits of the anchors, (b, A).
        positive: Logits of their positives, (b, A).

    Returns:
        (b,), in nats per class.
    """
    log_anchor = anchor.log_softmax(dim=1)
    log_positive = positive.log_softmax(dim=1)
    divergence = (log_positive.exp() * (log_positive - log_anchor)).sum(dim=1)
    return divergence / anchor.shape[1]


TERM = Term(
    "kl",
    "KL divergence",
    "lambda_k",
    lambda batch: kl_loss(*batch.pairs(batch.logits)),
    over="pairs",
)
