"""The registered pipelines have the shape that the protocols promise."""

import inspect
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from types import FunctionType

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import CatalogConfigResolver, DataCatalog
from kedro.pipeline import Pipeline
from kedro.validation.type_extractor import TypeExtractor

from conftest import TINY, Project
from contrastive_age.parameters.given import Detection, Explanation, Source
from contrastive_age.parameters.setting import Alignment, Pretraining, Setting
from contrastive_age.pipeline_registry import (
    final_model_pipeline,
    fold_pipeline,
    paper_report,
    pretrain_pipeline,
    protocol_pipeline,
)
from contrastive_age.protocols.namespaces import parted
from contrastive_age.training.recipe import Computing

CONF = OmegaConfigLoader(
    str(Path(__file__).resolve().parents[1] / "conf"), base_env="base", default_run_env="base"
)
PROTOCOLS = CONF["parameters"]["protocols"]
CATALOG = CatalogConfigResolver(CONF["catalog"])
LAYERS = [
    *("intermediate", "primary", "model_input", "models", "model_output", "reporting"),
    "final_model",
]
STAGES = ["ingestion", "alignment", "splitting", "triplets", "training", "evaluation", "reporting"]


def test_commands_that_train_nothing_wait_for_no_torch() -> None:
    loaded = "import sys, contrastive_age.pipeline_registry; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_the_papers_protocols_have_its_folds() -> None:
    folds = {name: own["folds"] for name, own in PROTOCOLS.items()}
    assert folds["fgnet_lopo"] == 82
    assert {folds[name] for name in ("morph_rs", "morph_se", "fgnet_se")} == {5}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_fold_is_a_namespace_and_every_stage_a_tag(protocol: str) -> None:
    own = PROTOCOLS[protocol]
    other = own.get("trained_on")
    pipeline = protocol_pipeline(protocol, own["source"], own["folds"], other)
    spaces = {node.namespace for node in pipeline.nodes if node.namespace}
    folds = {f"{protocol}.fold_{fold}" for fold in range(own["folds"])}
    assert spaces == {*filter(None, (own["source"], other)), protocol, *folds}
    for stage in STAGES:
        assert pipeline.only_nodes_with_tags(stage).nodes, stage
    alone = pipeline.only_nodes_with_namespaces([f"{protocol}.fold_{own['folds'] - 1}"])
    assert [node.tags for node in alone.nodes] == [{"triplets"}, {"training"}, {"evaluation"}]


def test_a_transfer_learns_from_one_source_and_is_tested_on_another() -> None:
    pipeline = protocol_pipeline("a_to_b", "b", 1, "a")
    inputs = {node.short_name.rpartition(".")[2]: set(node.inputs) for node in pipeline.nodes}
    # Those that are tested may be watched.
    assert {"a.samples", "a.looks", "a.faces", "b.samples", "b.looks"} <= inputs["train"]
    assert "b.faces" in inputs["train"]
    assert {"b.samples", "b.faces", "a.faces"} <= inputs["evaluate"]
    assert {"a.samples", "a.looks", "b.samples", "b.looks"} <= inputs["split"]


def test_nothing_of_a_source_is_made_that_nothing_learns_from() -> None:
    own = PROTOCOLS["utkface_to_fgnet"]
    pipeline = protocol_pipeline("utkface_to_fgnet", own["source"], own["folds"])
    assert not [node for node in pipeline.nodes if node.namespace == own["trained_on"]]


def test_what_a_protocol_needs_and_gives_does_not_grow_with_its_folds() -> None:
    def ends(folds: int) -> tuple[set[str], set[str]]:
        own = protocol_pipeline("p", "s", folds).only_nodes_with_namespaces(["p"])
        return own.inputs(), own.outputs()

    needed, given = ends(82)
    assert (needed, given) == ends(3)
    assert not any("fold" in parted(name)[0] for name in needed | given)


def _pipelines() -> dict[str, Pipeline]:
    """All that are registered, of three folds."""
    protocols = {
        name: protocol_pipeline(name, own["source"], 3, own.get("trained_on"))
        for name, own in PROTOCOLS.items()
    }
    return protocols | {
        "pretrain": pretrain_pipeline(["fgnet", "utkface"]),
        "final_model": final_model_pipeline("fgnet_se", "fgnet", 3),
        "paper_report": paper_report(),
    }


PIPELINES = _pipelines()


@pytest.mark.parametrize("folds", [3, 82])
def test_kedro_viz_opens_on_a_source_and_a_protocol(folds: int) -> None:
    viz = pytest.importorskip("kedro_viz.data_access.managers", reason="no extra `viz`")
    shown = viz.DataAccessManager()
    pipelines = {"fgnet_lopo": protocol_pipeline("fgnet_lopo", "fgnet", folds)}
    shown.add_catalog(DataCatalog(), pipelines)
    shown.add_pipelines(pipelines)
    tree = shown.create_modular_pipelines_tree_for_registered_pipeline("fgnet_lopo")
    children = tree["__root__"].children
    assert {child.id for child in children if child.type == "modularPipeline"} == {
        "fgnet",
        "fgnet_lopo",
    }
    # Parameters are hidden until they are asked for.
    assert sum(child.type == "parameters" for child in children) == 7
    assert len(children) == 29


@pytest.mark.parametrize("name", PIPELINES)
def test_the_code_of_every_node_can_be_shown_and_says_what_it_does(name: str) -> None:
    for node in PIPELINES[name].nodes:
        # Kedro-Viz shows neither file nor code of another callable.
        assert isinstance(node.func, FunctionType), node.name
        assert Path(inspect.getfile(node.func)).name == "nodes.py", node.name
        sentence, _, rest = str(node.func.__doc__).partition("\n")
        assert sentence[0].isupper(), node.name
        assert sentence.endswith("."), node.name
        assert node.func.__code__.co_argcount < 15, node.name
        assert not rest or rest.startswith("\n"), node.name


@pytest.mark.parametrize("name", PIPELINES)
def test_layers_follow_the_data(name: str) -> None:
    pipeline = PIPELINES[name]
    layers: dict[str, str] = {}
    for dataset in pipeline.datasets():
        if dataset.startswith("params:"):
            continue
        entry = CATALOG.resolve_pattern(dataset)
        if entry["type"].endswith(".WorkFolder"):
            # A free input that is no data: in a layer, Kedro-Viz would draw all of that above it.
            assert "metadata" not in entry, dataset
        else:
            layers[dataset] = entry["metadata"]["kedro-viz"]["layer"]
    order: dict[str, set[str]] = {}
    made_from: dict[str, set[str]] = {}
    for node in pipeline.nodes:
        before = {name for each in node.inputs for name in made_from.get(each, set())}
        before |= {layers[each] for each in node.inputs if each in layers}
        for output in node.outputs:
            made_from[output] = before
            order.setdefault(layers[output], set()).update(before - {layers[output]})
    found = list(TopologicalSorter(order).static_order())
    assert [layer for layer in LAYERS if layer in found] == found


def _types(*pipelines: Pipeline) -> dict[str, type]:
    named = {str(place): pipeline for place, pipeline in enumerate(pipelines)}
    found: dict[str, type] = TypeExtractor(named).extract_types_from_pipelines()
    return found


@pytest.mark.parametrize(
    ("tag", "of_setting", "others"),
    [
        ("triplets", Setting, {}),
        ("training", Setting, {"effective.computing": Computing}),
        (
            "evaluation",
            Setting,
            {"effective.computing": Computing, "effective.explanation": Explanation},
        ),
    ],
)
@pytest.mark.parametrize("fold", [0, None])
def test_kedro_validates_the_parameters_of_every_node_of_a_fold(
    fold: int | None, tag: str, of_setting: type, others: dict[str, type]
) -> None:
    nodes = fold_pipeline("fgnet_se", "fgnet", fold).only_nodes_with_tags(tag).nodes
    if fold is None and tag == "evaluation":
        assert nodes == []
        return
    (node,) = nodes
    assert _types(Pipeline([node])) == {"effective.protocols.fgnet_se": of_setting} | others
    assert node.short_name.rpartition(".")[2] == node.func.__name__


def test_kedro_validates_all_parameters_of_a_protocol_and_of_the_pretraining() -> None:
    source = {"effective.sources.fgnet": Source, "detection": Detection, "alignment": Alignment}
    computing = {"effective.computing": Computing}
    assert _types(protocol_pipeline("fgnet_se", "fgnet", 2)) == source | computing | {
        "effective.protocols.fgnet_se": Setting,
        "effective.explanation": Explanation,
    }
    assert _types(pretrain_pipeline(["fgnet"])) == source | computing | {
        "effective.pretraining": Pretraining
    }


def test_a_project_lists_its_own_pipelines_wherever_the_package_lies(project: Project) -> None:
    protocols = {"mine_se": PROTOCOLS["synthetic_se"]}
    own = TINY | {"protocols": TINY["protocols"] | protocols}
    (project.root / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(own))
    assert "- mine_se\n" in project.kedro("registry", "list").stdout
