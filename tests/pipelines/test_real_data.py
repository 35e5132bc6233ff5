"""What is known of FG-NET holds after ingestion and splitting of the real photos."""

import json

import pandas as pd
import pytest

from conftest import Project


@pytest.mark.endurance
@pytest.mark.real_data
def test_fgnet_is_read_whole_and_split_by_subject(project: Project, shared_data) -> None:
    local = project.root / "conf" / "local" / "parameters.yml"
    local.unlink()  # the real protocol, not the tests' tiny one
    project.kedro(
        "run",
        "--pipeline=fgnet_se",
        "--tags=ingestion,detection,alignment,splitting",
        f"--params=raw_root={shared_data}",
    )
    audit = json.loads(project.one("02_intermediate/fgnet/audit.json").read_text(encoding="utf-8"))
    assert audit["n"] == 1002
    assert audit["identities"] == 82
    assert list(audit["age_bins"].values()) == [710, 223, 61, 8]
    folds = pd.read_parquet(project.one("05_model_input/fgnet_se/folds.parquet"))
    sizes = folds["fold"].value_counts()
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 18  # no subject has more images
    leakage = json.loads(
        project.one("05_model_input/fgnet_se/leakage.json").read_text(encoding="utf-8")
    )
    assert leakage["leaked_images"] == 0
    assert leakage["leaked_copies"] == 0
    assert leakage["mae_constant"] == pytest.approx(9.71, abs=0.01)


@pytest.mark.endurance
@pytest.mark.real_data
def test_weights_of_utkface_are_tested_on_fgnet_as_they_are(project: Project, shared_data) -> None:
    (project.root / "conf" / "local" / "parameters.yml").unlink()
    weights = shared_data / "weights" / "utkface_224.pth"
    given = f"raw_root={shared_data},training.epochs=0,model.weights={weights}"
    project.kedro("run", "--pipeline=utkface_to_fgnet", f"--params={given}")
    metrics = json.loads(
        project.one("08_reporting/utkface_to_fgnet/*/metrics.json").read_text(encoding="utf-8")
    )
    assert (metrics["n"], metrics["subjects"]) == (1002, 82)
    assert metrics["mae"] == pytest.approx(6.83, abs=0.02)
    assert not (project.root / "data/03_primary/utkface").exists()
