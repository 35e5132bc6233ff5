"""Made-up finished runs, as the report takes them."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from contrastive_age.evaluation.metrics import summarise
from contrastive_age.parameters.effective import named_settings
from contrastive_age.reporting.groups import Evidence, group_seeds
from contrastive_age.reporting.papers import Papers
from contrastive_age.reporting.results import Measured, Theirs
from contrastive_age.sources.ages import AGE_BINS, age_bin

MakeRun = Callable[..., Measured]

PARTIAL = "weights/resnet18_imagenet_partial.pth"
SMALL: Mapping[str, Any] = {
    "training": {"epochs": 8, "image_size": 48, "schedule": "onecycle"},
    "triplets": {"mode": "shared"},
    "model": {"weights": PARTIAL},
}
"""A budget below the paper's."""

TRANSFER: Mapping[str, Any] = {
    "source": "fgnet",
    "trained_on": "utkface",
    "split": "transfer",
    "training": {"epochs": 0},
    "triplets": {"mode": "shared"},
}
"""Weights that are tested on another source as they are."""

FACES: Mapping[str, Any] = {
    "name": "pretrain ternary-1234abcd",
    "sources": ["utkface"],
    "n": 11672,
    "identities": 11671,
    "data_hash": "0a1b2c3d" * 8,
    "weights": "5e6f7a8b" * 8,
    "epochs": 18,
    "image_size": 64,
    "licence": "non-commercial research only",
}
"""What `metrics.json` tells of a training on other faces."""

MANIFEST = "1a2b3c4d" * 8
CONF = Path(__file__).resolve().parents[2] / "conf" / "base" / "parameters"


def configuration() -> dict[str, Any]:
    """The project's parameters as they stand in its files."""
    merged: dict[str, Any] = {}
    for path in CONF.glob("*.yml"):
        merged |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return merged


PAPERS = Papers(
    {
        protocol: {name: setting.model_dump(mode="json") for name, setting in settings.items()}
        for protocol, settings in named_settings(configuration()).items()
    }
)
"""What the paper set, as the report is given it."""


def evidence(runs: Iterable[Measured], **more: Any) -> Evidence:
    """What the tables are made of."""
    return Evidence(group_seeds(runs, PAPERS), PAPERS, **more)


def made_up_run(
    protocol: str = "fgnet_se",
    setting: str = "ternary",
    seed: int = 0,
    loss: Mapping[str, float] | None = None,
    budget: Mapping[str, Any] | None = None,
    demo: bool = False,
    off: float | None = None,
    identity: Mapping[str, Any] | None = None,
    gradcam: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    n: int = 60,
    subjects: int = 12,
    **metrics: Any,
) -> Measured:
    """Make up a run of a setting on the same samples as all others.

    Args:
        protocol: Its protocol.
        setting: Its name.
        seed: Of training.
        loss: Weights that are not the named setting's.
        budget: Blocks of values that are not the paper's.
        demo: Whether the faces are drawn.
        off: Every prediction is too old by so many years; random errors where None.
        identity: `identity.json`.
        gradcam: `gradcam.json`.
        run_id: Of MLflow.
        n: Number of images.
        subjects: Number of subjects.
        metrics: Values of `metrics.json` in place of the made-up ones.
    """
    row = np.arange(n)
    age = row * 7 % 70
    errors = np.random.default_rng([seed, *map(ord, setting)]).normal(0, 5, n)
    predictions = pd.DataFrame(
        {
            "sample_id": [f"s{number:03d}" for number in row],
            "identity": [f"{number:02d}" for number in row % subjects],
            "fold": row % subjects % 3,
            "age": age,
            "predicted_age": age + (errors if off is None else off),
            "predicted_std": 3.0,
        }
    )
    named = PAPERS.settings.get(protocol, PAPERS.settings["fgnet_lopo"])
    parameters = copy.deepcopy(dict(PAPERS.settings["fgnet_lopo"]["mv"]))
    parameters["splitting"]["group_copies"] = protocol != "morph_rs"
    for name, values in (budget or {}).items():
        parameters[name] = (
            parameters.get(name, {}) | values if isinstance(values, Mapping) else values
        )
    parameters |= {
        "protocol": protocol,
        "setting": setting,
        "seed": seed,
        "loss": {**named[setting]["loss"], **(loss or {})},
    }
    decided_by = [parameters, metrics.get("external")]
    digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
    bins = age_bin(age)
    document = summarise(predictions, mae_constant=9.71) | {
        "mae_lookup": 1.04,
        "leaked_share": 0.96 if protocol.endswith("_rs") else 0.0,
        "manifest_hash": MANIFEST,
        "groups": {
            "age_bin": [
                {
                    "group": name,
                    "n": int((bins == name).sum()),
                    "subjects": subjects,
                    "mae": 4.0 + seed,
                    "mae_low": 3.0 + seed,
                    "mae_high": 5.0 + seed,
                    "bias": -1.0,
                }
                for name in AGE_BINS
            ]
        },
        "thresholds": [
            {
                "age": threshold,
                "under_n": int((age < threshold).sum()),
                "under_predicted_over": 20.0 + seed,
                "over_n": int((age >= threshold).sum()),
                "over_predicted_under": 10.0,
            }
            for threshold in (18, 21, 25)
        ],
        "conformal": {
            level: {
                "coverage": float(level) + seed,
                "coverage_by_subject": float(level),
                "width": 14.0,
                "infinite": 0,
                "by_age_bin": {
                    name: {"n": 3, "coverage": 70.0, "width": 14.0} for name in AGE_BINS
                },
                "by_predicted": {
                    "0-9": {"n": 20 + 2 * seed, "coverage": 79.0 + seed, "width": 6.0},
                    "10-19": {"n": 40 - 2 * seed, "coverage": 80.0, "width": 14.0},
                    "20-29": {"n": 0, "coverage": None, "width": None},
                },
            }
            for level in ("80", "95")
        },
        "calibration": made_up_calibration(seed, tempered=not protocol.endswith("_rs")),
    }
    return Measured(
        protocol=protocol,
        setting=setting,
        key=f"{setting}-{digest[:8]}",
        seed=seed,
        parameters=parameters,
        metrics=document | metrics,
        identity=identity,
        gradcam=gradcam,
        predictions=predictions,
        run_id=run_id,
        demo=demo,
    )


def made_up_theirs(run: Measured, name: str, off: float, n: int | None = None) -> Theirs:
    """Make up predictions that were brought, too old by so many years, of a run's first photos."""
    predictions = run.predictions.iloc[:n].drop(columns="predicted_std")
    predictions = predictions.assign(predicted_age=predictions["age"] + off)
    metrics = summarise(predictions, mae_constant=9.71) | {
        "mae_interval": None,
        "manifest_hash": run.metrics["manifest_hash"],
        "test_photos": len(run.predictions),
    }
    return Theirs(run.protocol, name, f"theirs-{name}", metrics, predictions, run.demo)


def made_up_calibration(seed: int = 0, *, tempered: bool = True) -> dict[str, Any]:
    """Make up what `metrics.json` holds of the softmax's calibration."""
    before = {
        "crps": 4.0 + seed,
        "nll": 3.5,
        "mae": 5.5,
        "central_80": 49.0,
        "curve": {str(level): 0.6 * level for level in range(5, 100, 5)},
        "pit": [12.5, *[4.0] * 18, 15.5],
    }
    if not tempered:
        reason = "people have photos in several folds"
        return {"before": before, "after": None, "temperature": None, "reason": reason}
    curve = {level: 1.25 * share for level, share in before["curve"].items()}
    after = before | {"crps": 3.75, "mae": 6.0, "central_80": 79.0, "curve": curve}
    temperature = {"by_fold": {"0": 2.0, "1": 2.5}, "mean": 2.25 + seed, "of_all": 2.25}
    return {"before": before, "after": after, "temperature": temperature, "reason": None}


def made_up_identity(features: float = 0.3) -> dict[str, Any]:
    """Make up `identity.json`."""
    return {
        "folds": 3,
        "variance": {
            "features": features,
            "logits": 12.0,
            "probabilities": 0.0004,
            "predicted_age": 38.0,
            "true_age": 112.0,
        },
        "variance_ratio": {"features": 0.8, "true_age": 0.7},
        "retrieval": {"accuracy": 0.34, "chance": 0.06},
        "probe": {"accuracy": None, "chance": None, "accuracy_from_age": None, "reason": "few"},
        "age_without_identity": {"r2": 0.6},
    }


def made_up_gradcam() -> dict[str, Any]:
    """Make up `gradcam.json`."""
    mass = {"forehead": 0.25, "background": 0.75}
    return {
        "grid": [2, 2],
        "n": 40,
        "area": {"forehead": 0.4, "background": 0.6},
        "mass": mass,
        "age_groups": {"0-12": {"n": 40, "mass": mass}, "50+": {"n": 0, "mass": None}},
    }
