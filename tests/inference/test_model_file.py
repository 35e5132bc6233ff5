"""The final model's file: nothing lost, nothing read wrongly, nothing run."""

import dataclasses
import json
import math
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import Radii
from contrastive_age.inference.model_file import load_model, save_model
from contrastive_age.model.architecture import Architecture
from inference.models import untrained_model


def test_a_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    model = dataclasses.replace(
        untrained_model(),
        radii=Radii((2.0, 30.5), {"80": (1.5, 6.5), "95": (math.inf, math.inf)}),
        coverage=1.1,
        temperature=2.125,
    )
    save_model(model, tmp_path / "deep" / "age_model.pt")
    back = load_model(tmp_path / "deep" / "age_model.pt")
    for name in ("classes", "image_size", "radii", "card", "facts", "coverage", "temperature"):
        assert getattr(back, name) == getattr(model, name), name
    assert back.state.keys() == model.state.keys()
    assert all(torch.equal(back.state[name], own) for name, own in model.state.items())


def test_the_network_of_a_loaded_model_gives_the_same_outputs(tmp_path: Path) -> None:
    model = untrained_model()
    save_model(model, tmp_path / "m.pt")
    views = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = model.network()(views), load_model(tmp_path / "m.pt").network()(views)
    assert torch.equal(found.logits, expected.logits)


OTHER = Architecture("timm/tf_efficientnet_lite0", "dropout")


def test_another_network_comes_back_with_its_mean_and_spread(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    model = untrained_model(architecture=OTHER)
    save_model(model, tmp_path / "m.pt")
    back = load_model(tmp_path / "m.pt")
    assert back.architecture == OTHER
    views = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(back.network()(views).logits, model.network()(views).logits)
    content = torch.load(tmp_path / "m.pt", weights_only=True)
    about = json.loads(content["about"])
    assert about["normalisation"] == {"mean": [0.5] * 3, "std": [0.5] * 3}
    about["normalisation"]["mean"] = [0.485, 0.456, 0.406]
    torch.save(content | {"about": json.dumps(about)}, tmp_path / "m.pt")
    with pytest.raises(DataError, match="trained on faces made otherwise"):
        load_model(tmp_path / "m.pt")
    del about["backbone"]
    torch.save(content | {"about": json.dumps(about)}, tmp_path / "m.pt")
    with pytest.raises(DataError, match="is a damaged model"):
        load_model(tmp_path / "m.pt")


def test_without_its_library_another_network_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    save_model(untrained_model(architecture=OTHER), tmp_path / "m.pt")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DataError, match=r"^timm is needed and not installed: .*\[timm\]"):
        load_model(tmp_path / "m.pt")


def test_a_file_of_the_papers_network_names_none(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "m.pt")
    about = json.loads(torch.load(tmp_path / "m.pt", weights_only=True)["about"])
    assert not {"backbone", "head"} & about.keys()


def test_a_file_from_before_temperatures_has_none(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "m.pt")
    about = json.loads(torch.load(tmp_path / "m.pt", weights_only=True)["about"])
    assert about.pop("temperature") == 1.0
    assert load_model(edited(tmp_path / "m.pt", about=json.dumps(about))).temperature == 1.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_that_no_softmax_has_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="above 0 and finite"):
        dataclasses.replace(untrained_model(), temperature=temperature)


def test_a_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`make demo` .*final_model\.protocol=custom_se"):
        load_model(tmp_path / "none.pt")


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    torch.save(dict(untrained_model().state), tmp_path / "model.pth")
    with pytest.raises(DataError, match="weights alone"):
        load_model(tmp_path / "model.pth")


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, 0.99])
def test_a_file_cut_off_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "m.pt"
    save_model(untrained_model(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(DataError, match="cannot be read as a model"):
        load_model(path)


class Harm:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.victim),)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"format": Harm(tmp_path / "made")}, tmp_path / "torch.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Harm(tmp_path / "made"), protocol=2))
    for name in ("torch.pt", "bare.pt"):
        with pytest.raises(DataError, match="cannot be read as a model"):
            load_model(tmp_path / name)
    assert not (tmp_path / "made").exists()


def edited(path: Path, **changes: Any) -> Path:
    save_model(untrained_model(), path)
    content = torch.load(path, weights_only=True)
    torch.save(content | changes, path)
    return path


def test_a_file_of_before_gives_the_intervals_of_before(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "m.pt")
    about = json.loads(torch.load(tmp_path / "m.pt", weights_only=True)["about"])
    about["radii"] = {"80": 6.5, "95": None}
    model = load_model(edited(tmp_path / "m.pt", version=1, about=json.dumps(about)))
    for age in (0.0, 3.25, 40.0, 69.0):
        assert model.radii.around(age) == {
            "80": (max(0.0, age - 6.5), age + 6.5),
            "95": (0.0, math.inf),
        }
    about["radii"] = {}
    bare = load_model(edited(tmp_path / "m.pt", version=1, about=json.dumps(about)))
    assert bare.radii.around(40.0) == {}


@pytest.mark.parametrize(("image_size", "moved"), [(48, True), (56, False)])
def test_a_file_of_before_that_saw_beside_the_centre_says_so(
    image_size: int, moved: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "m.pt"
    save_model(untrained_model(image_size=image_size), path)
    load_model(path)
    assert not caplog.records
    content = torch.load(path, weights_only=True)
    about = json.loads(content["about"]) | {"radii": {}}
    torch.save(content | {"version": 1, "about": json.dumps(about)}, path)
    load_model(path)
    assert ("half a pixel" in caplog.text) == moved


@pytest.mark.parametrize(
    "radii",
    [
        {"80": 6.5},
        {"ages": [1.0, 2.0], "by_level": {"80": [3.0]}},
        {"ages": [], "by_level": {"80": None}},
        {"ages": [5.0, 1.0], "by_level": {"80": [1.0, 2.0]}},
        {"ages": [1.0, 5.0], "by_level": {"80": [1.0, -2.0]}},
    ],
)
def test_radii_that_are_none_are_refused(tmp_path: Path, radii: dict[str, Any]) -> None:
    save_model(untrained_model(), tmp_path / "m.pt")
    about = json.loads(torch.load(tmp_path / "m.pt", weights_only=True)["about"])
    with pytest.raises(DataError, match="damaged model"):
        load_model(edited(tmp_path / "m.pt", about=json.dumps(about | {"radii": radii})))


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layout 99"):
        load_model(edited(tmp_path / "m.pt", version=99))


@pytest.mark.parametrize("change", [{"about": "{}"}, {"about": "no JSON"}, {"state": {}}])
def test_a_damaged_content_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="damaged model"):
        load_model(edited(tmp_path / "m.pt", **change))


@pytest.mark.parametrize(
    "change",
    [{"version": 99}, {"face_size": 112}, {"crop_size": 256}, {"mean": [0]}, {"coverage": 1.1}],
)
def test_only_other_pixels_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    save_model(untrained_model(), tmp_path / "m.pt")
    about = json.loads(torch.load(tmp_path / "m.pt", weights_only=True)["about"])
    for made in about["alignment"], about["normalisation"]:
        made |= {name: value for name, value in change.items() if name in made}
    path = edited(tmp_path / "m.pt", about=json.dumps(about))
    if change.keys() == {"coverage"}:
        assert load_model(path).coverage == 1.1
        return
    with pytest.raises(DataError, match="trained on faces made otherwise"):
        load_model(path)
