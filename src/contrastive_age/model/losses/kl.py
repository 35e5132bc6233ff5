"""The Kullback-Leibler loss L_KLD between the distributions of anchor and positive (Eq. 9)."""

from contrastive_age.model.losses.term import Tensor, Term


def kl_loss(log_anchor: Tensor, log_positive: Tensor) -> Tensor:
    r"""Give L_{KLD} = \frac{1}{A} \sum_j s_{p,j} (\log s_{p,j} - \log s_{a,j}) of each pair.

    Eq. 9 lacks the second logarithm; as printed it is `kl_printed_loss`. Log-softmax vectors are
    taken, because the logarithm of a probability that has vanished would be infinite.

    Args:
        log_anchor: Log-softmax vectors of the anchors, (b, A).
        log_positive: Those of their positives, (b, A).

    Returns:
        (b,), in nats per class.
    """
    return (log_positive.exp() * (log_positive - log_anchor)).mean(dim=1)


TERM = Term(
    "kl",
    "KL divergence",
    "lambda_k",
    lambda batch: kl_loss(*batch.pairs(batch.log_probabilities)),
    over="pairs",
)
