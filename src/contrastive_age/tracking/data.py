"""The data of a run as MLflow knows data: for the column "Dataset", and to find runs by it.

It says what the data is and how much of it; no photo goes there, nor where this machine has them.
"""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import ColSpec, Schema
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

COLUMNS = {"sample_id": "string", "identity": "string", "age": "long"}
_DIGITS = 8


def of_source(name: str, manifest_hash: str, audit: Mapping[str, Any]) -> DatasetInput:
    """The photos of a source, which are trained on.

    Args:
        name: The source, such as `fgnet`; one that a manifest lists with that one's digits.
        manifest_hash: Names its photos and labels.
        audit: Of the source: `n`, `identities` and `ages`.
    """
    profile = {"num_rows": audit["n"], "subjects": audit["identities"]}
    ages = {f"age_{name}": value for name, value in audit["ages"].items()}
    return _input(name, manifest_hash, "training", profile | ages)


def of_tested(name: str, digest: str, predictions: pd.DataFrame) -> DatasetInput:
    """The photos that a protocol's folds test.

    Args:
        name: Such as `fgnet_se folds`. MLflow keeps the profile of the first of a name and digest.
        digest: Of the folds.
        predictions: `identity, age`, a row for each that is tested.
    """
    ages = predictions["age"]
    profile = {
        "num_rows": len(predictions),
        "subjects": int(predictions["identity"].nunique()),
        **{f"age_{name}": float(getattr(ages, name)()) for name in ("min", "max", "median")},
    }
    return _input(name, digest, "evaluation", profile)


def _input(name: str, digest: str, context: str, profile: Mapping[str, Any]) -> DatasetInput:
    columns = Schema([ColSpec(kind, column) for column, kind in COLUMNS.items()])
    return DatasetInput(
        Dataset(
            name,
            digest[:_DIGITS],
            source_type="local",
            source=json.dumps({"uri": name}),
            schema=json.dumps({"mlflow_colspec": columns.to_dict()}),
            profile=json.dumps(profile),
        ),
        [InputTag(MLFLOW_DATASET_CONTEXT, context)],
    )
