"""CORAL: the questions of OR-CNN with one direction for all (Cao, Mirjalili and Raschka, 2020)."""

from contrastive_age.model.losses.or_cnn import binary_loss
from contrastive_age.model.losses.term import Term

# Source: "Rank consistent ordinal regression for neural networks with application to age
# estimation", Pattern Recognition Letters, 2020. The loss is OR-CNN's; what differs is the head:
# scores z_k = w^T f + b_k, whose biases the loss itself puts in order.
TERM = Term(
    "coral",
    "CORAL",
    "lambda_coral",
    lambda batch: binary_loss(batch.scores, batch.ages),
    head="coral",
)
