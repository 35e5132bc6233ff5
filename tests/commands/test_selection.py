"""A setting is chosen by the mean of its seeds, never by its best one."""

import numpy as np
import pandas as pd
import pytest

from contrastive_age.commands.selection import best_by_fold, validation_scores


def _table(errors: dict[int, list[float]]) -> pd.DataFrame:
    """Predictions that are off by so many years, by fold."""
    rows = [
        {
            "sample_id": f"{fold}/{place}",
            "identity": f"p{place}",
            "fold": fold,
            "age": 20,
            "predicted_age": 20 + error,
        }
        for fold, own in errors.items()
        for place, error in enumerate(own)
    ]
    return pd.DataFrame(rows)


def test_the_best_seed_is_not_what_chooses() -> None:
    lucky = [_table({0: [1, -1], 1: [2, 2]}), _table({0: [9, -9], 1: [2, 4]})]
    steady = [_table({0: [4, 4], 1: [-5, 5]}), _table({0: [-4, 4], 1: [5, 5]})]
    scores = validation_scores({"lucky": lucky, "steady": steady})
    assert scores.loc[0].to_dict() == {"lucky": 5.0, "steady": 4.0}
    assert scores.loc[1].to_dict() == {"lucky": 2.5, "steady": 5.0}
    assert best_by_fold(scores) == {0: "steady", 1: "lucky"}


def test_a_score_is_the_mean_of_the_seeds_own_errors() -> None:
    rng = np.random.default_rng(0)
    sizes = {0: 5, 1: 3}
    tables = [
        _table({fold: list(rng.normal(0, 5, n)) for fold, n in sizes.items()}) for _ in range(3)
    ]
    scores = validation_scores({"setting": [tables[0], tables[1].sample(frac=1), tables[2]]})
    for fold in sizes:
        parts = [table[table["fold"] == fold] for table in tables]
        maes = [np.abs(part["predicted_age"] - part["age"]).mean() for part in parts]
        assert scores.loc[fold, "setting"] == pytest.approx(np.mean(maes))


def test_of_equal_settings_the_first_is_chosen() -> None:
    table = _table({0: [1.0], 3: [2.0]})
    scores = validation_scores({"b": table, "a": [table]})
    assert best_by_fold(scores) == {0: "b", 3: "b"}
