"""The triplet index of a fold's training part, and the name by which it is known again."""

import pandas as pd

from contrastive_age.files import fingerprint
from contrastive_age.provenance import code_of, table_digest
from contrastive_age.triplets.index import TripletIndex, build_index


def index_of(trained_on: pd.DataFrame) -> TripletIndex:
    """Index the positives and negatives of the samples that train.

    Args:
        trained_on: `sample_id, identity, age`, in their order.
    """
    return build_index(
        trained_on["age"].to_numpy(),
        trained_on["identity"].to_numpy(),
        fingerprint=fingerprint_of(trained_on),
    )


def fingerprint_of(trained_on: pd.DataFrame) -> str:
    """Name the index of some samples by what it sorts, and by its code; see `index_of`."""
    known = table_digest(trained_on[["sample_id", "identity", "age"]])
    return fingerprint(known, code_of(build_index))
