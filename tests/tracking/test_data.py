"""What MLflow is told of the data of a run."""

import json

import pandas as pd

from contrastive_age.tracking.data import of_source, of_tested


def test_a_source_is_known_by_its_photos_and_says_how_many_there_are() -> None:
    audit = {"n": 4, "identities": 2, "ages": {"min": 1, "max": 9, "median": 3.0}}
    source = of_source("fgnet", "0123456789", audit)
    assert (source.dataset.name, source.dataset.digest) == ("fgnet", "01234567")
    assert json.loads(source.dataset.profile) == {
        **{"num_rows": 4, "subjects": 2, "age_min": 1, "age_max": 9, "age_median": 3.0}
    }
    assert [tag.value for tag in source.tags] == ["training"]


def test_what_is_tested_is_known_by_its_folds() -> None:
    predictions = pd.DataFrame({"identity": ["a", "a", "b"], "age": [3, 5, 40]})
    tested = of_tested("fgnet_se folds", "f" * 64, predictions)
    assert (tested.dataset.name, tested.dataset.digest) == ("fgnet_se folds", "f" * 8)
    assert json.loads(tested.dataset.profile) == {
        **{"num_rows": 3, "subjects": 2, "age_min": 3, "age_max": 40, "age_median": 5}
    }
    columns = json.loads(tested.dataset.schema)["mlflow_colspec"]
    assert [column["name"] for column in columns] == ["sample_id", "identity", "age"]
    assert [tag.value for tag in tested.tags] == ["evaluation"]
