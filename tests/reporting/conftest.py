"""Made-up finished runs, as the report takes them."""

from collections.abc import Mapping
from typing import Any

import pytest

from contrastive_age.reporting.results import Measured
from reporting.runs import (
    FACES,
    SMALL,
    TRANSFER,
    MakeRun,
    configuration,
    made_up_gradcam,
    made_up_identity,
    made_up_run,
)


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """Make up a finished run."""
    return made_up_run


@pytest.fixture(scope="session")
def small() -> Mapping[str, Any]:
    """A budget below the paper's, from stand-in weights."""
    return SMALL


@pytest.fixture(scope="session")
def faces() -> Mapping[str, Any]:
    """What `metrics.json` tells of a training on other faces."""
    return FACES


@pytest.fixture(scope="session")
def identity() -> dict[str, Any]:
    """A made-up `identity.json`."""
    return made_up_identity()


@pytest.fixture(scope="session")
def gradcam() -> dict[str, Any]:
    """A made-up `gradcam.json`."""
    return made_up_gradcam()


@pytest.fixture(scope="session")
def several(make_run: MakeRun) -> list[Measured]:
    """Runs of some settings, seeds, budgets, protocols and starts, on photos and drawn faces."""
    runs = [
        make_run("fgnet_se", setting, seed, budget=SMALL, run_id=f"run{seed}")
        for setting, seeds in {
            **{"mv": (0, 1), "binary": (0,), "ternary": (0, 1), "ce": (0,)},
            **{"ordinal_entropy": (0, 1), "coral": (0,)},
        }.items()
        for seed in seeds
    ]
    runs += [
        make_run("fgnet_se", "binary", 0, loss={"lambda_c": weight}, budget=SMALL)
        for weight in (4.0, 10.0)
    ]
    runs += [
        make_run("morph_se", "ternary", 0, loss={"lambda_c": 8.0, "lambda_t": weight})
        for weight in (0.0, 1.0, 2.0)
    ]
    known = {"identity": made_up_identity(), "gradcam": made_up_gradcam()}
    runs.append(make_run("morph_se", "mv", 0, picked_on_test=2.0, **known))
    runs.append(make_run("morph_rs", "binary", 0, demo=True, budget={"model": {"weights": "none"}}))
    runs += [
        make_run("fgnet_se", setting, budget=SMALL, external=FACES) for setting in ("mv", "binary")
    ]
    runs.append(make_run("morph_se", "ternary", external=FACES))
    runs.append(make_run("utkface_to_fgnet", "ternary", budget=TRANSFER, external=FACES))
    return runs


@pytest.fixture
def given() -> dict[str, Any]:
    """The project's parameters as they stand in its files."""
    return configuration()
