"""An index is known by the samples that it sorts."""

import pandas as pd
import pytest

from contrastive_age.triplets.part import fingerprint_of, index_of

PART = pd.DataFrame(
    {"sample_id": ["a", "b", "c"], "identity": ["1", "2", "2"], "age": [30, 30, 40], "fold": 1}
)


def test_an_index_names_its_samples_and_counts_what_they_lack() -> None:
    index = index_of(PART)
    assert index.fingerprint == fingerprint_of(PART)
    assert index.counts["anchors"] == 3
    assert index.counts["without_positive"] == 1


@pytest.mark.parametrize(
    "other", [PART.iloc[::-1], PART.iloc[:2], PART.assign(age=31), PART.assign(identity="3")]
)
def test_other_samples_have_another_name(other: pd.DataFrame) -> None:
    assert fingerprint_of(other) != fingerprint_of(PART)


def test_what_is_not_sorted_has_no_part_in_the_name() -> None:
    assert fingerprint_of(PART.assign(fold=2)) == fingerprint_of(PART)
