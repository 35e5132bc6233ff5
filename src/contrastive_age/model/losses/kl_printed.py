"""Eq. 9 as it is printed: the KL function of a library, fed with probabilities for logarithms."""

from contrastive_age.model.losses.term import Tensor, Term


def kl_printed_loss(log_anchor: Tensor, log_positive: Tensor) -> Tensor:
    r"""Give L = \frac{1}{A} \sum_j s_{p,j} (\log s_{p,j} - s_{a,j}) of each pair.

    It is the mean over classes of `torch.nn.functional.kl_div(s_a, s_p)`, whose first argument is
    meant to be \log s_a (then it is `kl_loss`). It is no divergence, but
    -(H(s_p) + s_p \cdot s_a) / A: it flattens the positive's distribution, and draws the anchor's
    to the positive's most probable class. Equal distributions do not attain its minimum of
    -\log(e + A - 1) / A; an anchor certain of one class and a positive almost uniform (e times the
    others at that class) do. Its maximum is 0, of a certain positive to which the anchor gives
    nothing. Absolute values of its gradient by an anchor's logits sum to 1 / (2 A) at most, by a
    positive's to about \log(A) / (2 A).

    Args:
        log_anchor: Log-softmax vectors of the anchors, (b, A).
        log_positive: Those of their positives, (b, A).

    Returns:
        (b,), in nats per class.
    """
    return (log_positive.exp() * (log_positive - log_anchor.exp())).mean(dim=1)


TERM = Term(
    "kl_printed",
    "KL as printed",
    "lambda_k_printed",
    lambda batch: kl_printed_loss(*batch.pairs(batch.log_probabilities)),
    over="pairs",
)
