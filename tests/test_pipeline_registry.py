"""The registered pipelines have the shape that the protocols promise."""

from pathlib import Path

import pytest
import yaml

from conftest import TINY, Project
from contrastive_age.pipeline_registry import protocol_pipeline

CONF = Path(__file__).resolve().parents[1] / "conf" / "base" / "parameters" / "protocols.yml"
PROTOCOLS = yaml.safe_load(CONF.read_text(encoding="utf-8"))["protocols"]
STAGES = ["ingestion", "alignment", "splitting", "triplets", "training", "evaluation", "reporting"]


def test_the_papers_protocols_have_its_folds() -> None:
    folds = {name: own["folds"] for name, own in PROTOCOLS.items()}
    assert folds["fgnet_lopo"] == 82
    assert {folds[name] for name in ("morph_rs", "morph_se", "fgnet_se")} == {5}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_fold_is_a_namespace_and_every_stage_a_tag(protocol: str) -> None:
    own = PROTOCOLS[protocol]
    pipeline = protocol_pipeline(protocol, own["source"], own["folds"])
    spaces = {node.namespace for node in pipeline.nodes if node.namespace}
    assert spaces == {f"{protocol}.fold_{fold}" for fold in range(own["folds"])}
    for stage in STAGES:
        assert pipeline.only_nodes_with_tags(stage).nodes, stage
    alone = pipeline.only_nodes_with_namespaces([f"{protocol}.fold_1"])
    assert [node.tags for node in alone.nodes] == [{"triplets"}, {"training"}, {"evaluation"}]


def test_a_project_lists_its_own_pipelines_wherever_the_package_lies(project: Project) -> None:
    protocols = {"mine_se": PROTOCOLS["synthetic_se"]}
    own = TINY | {"protocols": TINY["protocols"] | protocols}
    (project.root / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(own))
    assert "- mine_se\n" in project.kedro("registry", "list").stdout
