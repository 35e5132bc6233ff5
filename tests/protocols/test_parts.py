"""A fold's parts, and the validation part that never touches its test part."""

import numpy as np
import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.protocols.parts import Parts, constant_mae, parts


def _folds(exclusive: bool, subjects: int = 20, images: int = 6) -> pd.DataFrame:
    rows = [(f"{who}-{n}", str(who), n) for who in range(subjects) for n in range(images)]
    table = pd.DataFrame(rows, columns=["sample_id", "identity", "age"])
    fold = np.repeat(np.arange(subjects) % 4, images) if exclusive else np.arange(len(table)) % 4
    return table.assign(fold=fold)


def test_without_validation_all_other_folds_train() -> None:
    folds = _folds(exclusive=True)
    training, tested = parts(folds, 2)
    assert (tested["fold"] == 2).all()
    assert (training["fold"] != 2).all()
    assert len(training) + len(tested) == len(folds)


@pytest.mark.parametrize("exclusive", [True, False])
def test_validation_subjects_are_in_neither_training_nor_test(exclusive: bool) -> None:
    folds = _folds(exclusive, images=2)
    test = folds[folds["fold"] == 1]
    training, validation = parts(folds, 1, 0.25, seed=3)
    assert len(validation)
    assert not set(validation["identity"]) & set(training["identity"])
    assert not set(validation["identity"]) & set(test["identity"])
    assert not set(training["sample_id"]) & set(test["sample_id"])
    assert len(training) + len(validation) + len(test) == len(folds)


def test_the_share_counts_subjects_and_the_seed_chooses_them() -> None:
    folds = _folds(exclusive=True)
    chosen = [
        set(parts(folds, fold, 0.2, seed).tested["identity"]) for fold, seed in [(0, 0), (0, 1)]
    ]
    assert [len(each) for each in chosen] == [3, 3]
    assert chosen[0] != chosen[1]
    again = parts(folds.sample(frac=1, random_state=0), 0, 0.2, 0).tested
    assert set(again["identity"]) == chosen[0]


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(DataError, match="fold 0: only 0 subjects"):
        parts(_folds(exclusive=False), 0, 0.2)


def test_the_constant_is_each_training_median() -> None:
    one = Parts(pd.DataFrame({"age": [1, 2, 9]}), pd.DataFrame({"age": [0, 5]}))
    other = Parts(pd.DataFrame({"age": [10, 20]}), pd.DataFrame({"age": [16]}))
    assert constant_mae([one, other]) == pytest.approx((2 + 3 + 1) / 3)
