"""`kedro run` from drawn faces to metrics: the contracts, read from the files that a run left."""

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.config import OmegaConfigLoader
from kedro.io import AbstractDataset, CatalogConfigResolver

from conftest import TINY, Project
from contrastive_age.model.losses.registry import PAPERS, TOTAL
from contrastive_age.pipeline_registry import protocol_pipeline

FOLDS = TINY["protocols"]["synthetic_se"]["folds"]
POINTS = [
    f"{point}_{axis}"
    for point in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    for axis in "xy"
]


@pytest.fixture(scope="module")
def samples(finished: Project) -> pd.DataFrame:
    return pd.read_parquet(finished.one("02_intermediate/synthetic/samples.parquet"))


@pytest.fixture(scope="module")
def folds(finished: Project) -> pd.DataFrame:
    return pd.read_parquet(finished.one("05_model_input/synthetic_se/folds.parquet"))


@pytest.fixture(scope="module")
def setting(finished: Project) -> str:
    """The one folder of results."""
    return finished.one("08_reporting/synthetic_se/*").name


def test_samples_and_audit(finished: Project, samples: pd.DataFrame) -> None:
    assert {"sample_id", "path", "identity", "age"} <= set(samples.columns)
    assert samples["sample_id"].is_monotonic_increasing
    audit = json.loads(
        finished.one("02_intermediate/synthetic/audit.json").read_text(encoding="utf-8")
    )
    assert audit["n"] == len(samples) == 24
    assert audit["identities"] == 6
    assert len(audit["manifest_hash"]) == 64


def test_landmarks_and_faces_are_in_the_order_of_the_samples(
    finished: Project, samples: pd.DataFrame
) -> None:
    landmarks = pd.read_parquet(finished.one("03_primary/synthetic/landmarks.parquet"))
    assert list(landmarks.columns) == ["sample_id", "status", "score", "faces_found", *POINTS]
    assert landmarks["sample_id"].equals(samples["sample_id"])
    assert landmarks["status"].isin(["detected", "retried"]).all()
    assert (landmarks["left_eye_x"] < landmarks["right_eye_x"]).all()
    report = json.loads(finished.one("03_primary/synthetic/audit.json").read_text())
    assert report["n"] == sum(report["status"].values()) == 24
    assert set(report["anomalies"]) == {"no_face", "several_faces", "larger_bystander", "turned"}
    assert report["anomalies"]["no_face"]["count"] == 0
    several = landmarks.loc[landmarks["faces_found"] > 1, "sample_id"].tolist()
    named = [own["sample_id"] for own in report["anomalies"]["several_faces"]["items"]]
    assert named == several
    faces = np.load(finished.one("03_primary/synthetic/faces.npy"), mmap_mode="r")
    assert faces.shape == (24, 256, 256, 3)
    assert faces.dtype == np.uint8
    assert (faces.reshape(24, -1).std(axis=1) > 10).all()


def test_folds_hold_every_sample_once_and_no_subject_twice(
    finished: Project, samples: pd.DataFrame, folds: pd.DataFrame
) -> None:
    assert list(folds.columns) == ["sample_id", "identity", "age", "fold"]
    assert sorted(folds["sample_id"]) == list(samples["sample_id"])
    assert set(folds["fold"]) == set(range(FOLDS))
    assert not folds.drop_duplicates(["identity", "fold"])["identity"].duplicated().any()
    leakage = json.loads(
        finished.one("05_model_input/synthetic_se/leakage.json").read_text(encoding="utf-8")
    )
    assert leakage["leaked_images"] == 0


@pytest.mark.parametrize("fold", range(FOLDS))
def test_a_fold_leaves_index_model_history_and_outputs(
    finished: Project, folds: pd.DataFrame, setting: str, fold: int
) -> None:
    index = np.load(finished.one(f"05_model_input/synthetic_se/fold_{fold}/triplets.npz"))
    tested = folds[folds["fold"] == fold]
    assert len(index["ages"]) == len(folds) - len(tested)
    place = f"synthetic_se/{setting}/fold_{fold}"
    model = finished.one(f"06_models/{place}/model.pth")
    assert {path.name for path in model.parent.iterdir()} == {"model.pth", "history.parquet"}
    state = torch.load(model, weights_only=True)
    assert state["fc.weight"].shape == (70, 512)
    history = pd.read_parquet(finished.one(f"06_models/{place}/history.parquet"))
    assert {TOTAL, *PAPERS} <= set(history.columns)
    assert list(history["epoch"]) == [1]
    outputs = np.load(finished.one(f"07_model_output/{place}/outputs.npz"))
    assert list(outputs["sample_id"]) == list(tested["sample_id"])
    assert outputs["features"].shape == (len(tested), 512)
    assert outputs["logits"].shape == (len(tested), 70)


def test_predictions_and_metrics_agree(
    finished: Project, folds: pd.DataFrame, setting: str
) -> None:
    predictions = pd.read_parquet(
        finished.one(f"07_model_output/synthetic_se/{setting}/predictions.parquet")
    )
    columns = ["sample_id", "identity", "fold", "age", "predicted_age", "predicted_std"]
    assert sorted(predictions.columns) == sorted(columns)
    joined = folds.merge(predictions, on=["sample_id", "identity", "age", "fold"], validate="1:1")
    assert len(joined) == len(folds) == len(predictions)
    assert predictions["predicted_age"].between(0, 69).all()
    place = f"08_reporting/synthetic_se/{setting}"
    metrics = json.loads(finished.one(f"{place}/metrics.json").read_text(encoding="utf-8"))
    error = (predictions["predicted_age"] - predictions["age"]).abs()
    assert metrics["mae"] == pytest.approx(error.mean())
    assert metrics["mae_by_subject"] == pytest.approx(
        error.groupby(predictions["identity"]).mean().mean()
    )
    assert metrics["n"] == 24
    assert metrics["folds"] == FOLDS
    assert metrics["key"] == setting
    assert metrics["cs5"] == pytest.approx(100 * (error <= 5).mean())
    assert metrics["part"] == "test"
    assert metrics["mae_interval"][0] <= metrics["mae"] <= metrics["mae_interval"][1]
    assert [own["age"] for own in metrics["thresholds"]] == [18, 21, 25]
    assert "age_bin" in metrics["groups"]
    for own in metrics["groups"].values():
        assert sum(group["n"] for group in own) == 24


def test_intervals_lie_around_each_prediction(finished: Project, setting: str) -> None:
    place = f"07_model_output/synthetic_se/{setting}"
    predictions = pd.read_parquet(finished.one(f"{place}/predictions.parquet"))
    intervals = pd.read_parquet(finished.one(f"{place}/intervals.parquet"))
    assert list(intervals["sample_id"]) == list(predictions["sample_id"])
    assert (intervals["low_80"] <= predictions["predicted_age"]).all()
    assert (intervals["high_80"] >= predictions["predicted_age"]).all()
    # Three subjects in the other fold are too few to calibrate 80%.
    assert np.isinf(intervals["high_95"]).all()
    metrics = json.loads(
        finished.one(f"08_reporting/synthetic_se/{setting}/metrics.json").read_text(
            encoding="utf-8"
        )
    )
    assert metrics["conformal"]["95"]["infinite"] == 24
    assert metrics["conformal"]["95"]["width"] is None


def test_maps_are_of_tested_faces_and_summed_up_by_age(finished: Project, setting: str) -> None:
    explained = []
    for fold in range(FOLDS):
        place = f"07_model_output/synthetic_se/{setting}/fold_{fold}"
        maps = np.load(finished.one(f"{place}/gradcam.npz"))
        tested = pd.read_parquet(finished.one(f"{place}/predictions.parquet"))
        assert set(maps["sample_id"]) <= set(tested["sample_id"])
        sums = maps["maps"].sum(axis=(1, 2))
        assert np.all(np.isclose(sums, 1, atol=1e-5) | (sums == 0))
        explained += list(maps["sample_id"])
    place = f"08_reporting/synthetic_se/{setting}"
    summary = json.loads(finished.one(f"{place}/gradcam.json").read_text(encoding="utf-8"))
    assert summary["n"] == len(explained) == 24
    assert sum(own["n"] for own in summary["age_groups"].values()) == 24
    assert finished.one(f"{place}/attention.png").read_bytes().startswith(b"\x89PNG")


def test_identity_is_measured_over_all_folds(finished: Project, setting: str) -> None:
    place = f"08_reporting/synthetic_se/{setting}/identity.json"
    found = json.loads(finished.one(place).read_text(encoding="utf-8"))
    assert found["variance"]["identities"] == 6
    assert found["folds"] == FOLDS


def test_the_expectation_of_the_softmax_is_predicted(finished: Project, setting: str) -> None:
    place = f"07_model_output/synthetic_se/{setting}/fold_0"
    logits = np.load(finished.one(f"{place}/outputs.npz"))["logits"].astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    predictions = pd.read_parquet(finished.one(f"{place}/predictions.parquet"))
    np.testing.assert_allclose(predictions["predicted_age"], shares @ np.arange(70), rtol=1e-4)


def test_the_softmax_is_measured_before_and_after_a_temperature(
    finished: Project, setting: str
) -> None:
    place = f"08_reporting/synthetic_se/{setting}/metrics.json"
    metrics = json.loads(finished.one(place).read_text(encoding="utf-8"))
    told = metrics["calibration"]
    assert told["reason"] is None
    # The expectation of the softmax as it is is what was predicted.
    assert told["before"]["mae"] == pytest.approx(metrics["mae"], rel=1e-4)
    assert list(told["temperature"]["by_fold"]) == ["0", "1"]
    assert sum(told["after"]["pit"]) == pytest.approx(100)


@pytest.mark.parametrize(
    "name", ["scatter", "cs_curve", "error_by_age", "calibration", "losses", "faces_sheet"]
)
def test_figures_are_drawn(finished: Project, setting: str, name: str) -> None:
    picture = finished.one(f"08_reporting/synthetic_se/{setting}/{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


def test_mlflow_holds_a_run_a_setting_and_a_child_a_fold(finished: Project, setting: str) -> None:
    with sqlite3.connect(finished.root / "mlflow.db") as database:
        experiments = dict(database.execute("select experiment_id, name from experiments"))
        runs = list(database.execute("select run_uuid, name, status, experiment_id from runs"))
        tags = list(database.execute("select run_uuid, key, value from tags"))
        params = list(database.execute("select run_uuid, key, value from params"))
        metrics = list(database.execute("select run_uuid, key from metrics"))
    assert {experiments[run[3]] for run in runs} == {"synthetic_se"}
    assert {run[2] for run in runs} == {"FINISHED"}
    (parent,) = [run for run, key, value in tags if (key, value) == ("setting_key", setting)]
    (name,) = [name for run, name, _, _ in runs if run == parent]
    assert name.startswith("ternary λc=1 λt=1 seed 0, ")
    children = {run for run, key, value in tags if (key, value) == ("mlflow.parentRunId", parent)}
    assert len(children) == FOLDS == len(runs) - 1
    parent_tags = {key for run, key, _ in tags if run == parent}
    assert {"git_revision", "manifest_hash", "seed", "level"} <= parent_tags
    parent_params = {key: value for run, key, value in params if run == parent}
    assert parent_params["lambda_c"] == "1.0"
    assert parent_params["lambda_t"] == "1.0"
    for child in children:
        logged = {key for run, key in metrics if run == child}
        assert {TOTAL, *PAPERS} <= logged
    assert {"mae", "mae_constant", "cs5"} <= {key for run, key in metrics if run == parent}
    artifacts = {path.name for path in (finished.root / "mlartifacts").rglob("*.*")}
    made = {path.name for path in (finished.root / "data/08_reporting").rglob(f"{setting}/*")}
    figures = {name for name in made if name.endswith(".png")}
    assert len(figures) == 7
    assert artifacts >= figures | {"predictions.csv", "summary.csv", "metrics.json"}


def test_kedro_viz_previews_tables_documents_and_figures(finished: Project, setting: str) -> None:
    viz = pytest.importorskip("kedro_viz.models.flowchart.node_metadata", reason="no extra `viz`")
    from kedro_viz.models.flowchart.nodes import GraphNode

    conf = OmegaConfigLoader(str(finished.root / "conf"), base_env="base", default_run_env="base")
    catalog = CatalogConfigResolver(conf["catalog"])
    found = {}
    for name in protocol_pipeline("synthetic_se", "synthetic", FOLDS).datasets():
        if name.startswith("params:"):
            continue
        entry = catalog.resolve_pattern(name)
        path = finished.root / entry["filepath"].replace("<setting>", setting)
        dataset = AbstractDataset.from_config(name, entry | {"filepath": str(path)})
        node = GraphNode.create_data_node("", name, None, set(), dataset, None)
        shown = viz.DataNodeMetadata(data_node=node)
        assert bool(shown.preview) == bool(shown.preview_type), name
        if shown.preview:
            found[name.removeprefix("synthetic_se.")] = shown.preview_type
    kinds = {
        "TablePreview": {"summary", "predictions", "fold_1.history", "folds", "synthetic.samples"},
        "JSONPreview": {"metrics", "identity", "gradcam", "leakage", "synthetic.audit"},
        "ImagePreview": {
            *("scatter", "cs_curve", "error_by_age", "calibration", "losses"),
            *("faces_sheet", "attention"),
        },
    }
    for kind, names in kinds.items():
        assert names <= {name for name, preview in found.items() if preview == kind}
    assert set(found.values()) == set(kinds)


def test_nothing_is_written_outside_data_and_tracking(finished: Project) -> None:
    known = {
        "conf",
        "data",
        "src",
        "pyproject.toml",
        ".telemetry",
        ".viz",
        "mlflow.db",
        "mlartifacts",
    }
    assert {path.name for path in finished.root.iterdir()} <= known
