"""A fold is known by its name, wherever it stands."""

import pytest

from contrastive_age.protocols.namespaces import fold_name, in_words, is_fold, namespace_of


@pytest.mark.parametrize(
    ("fold", "name", "words"),
    [(0, "fold_0", "fold 0"), (81, "fold_81", "fold 81"), (None, "final", "all samples")],
)
def test_a_fold_is_named_and_known_again(fold: int | None, name: str, words: str) -> None:
    assert fold_name(fold) == name
    assert namespace_of("fgnet_se", fold) == f"fgnet_se.{name}"
    assert is_fold(namespace_of("fgnet_se", fold))
    assert in_words(fold) == words


@pytest.mark.parametrize(
    "other",
    [None, "", "fgnet_se", "fold_0", "fgnet_se.fold_x", "fgnet_se.finals", "a.fold_0.b", "a.fold_"],
)
def test_nothing_else_is_a_fold(other: str | None) -> None:
    assert not is_fold(other)
