"""Setting values: what is given wins, and one set of values has one key."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import create_model

from contrastive_age.errors import DataError
from contrastive_age.model.losses import LOSSES, Term
from contrastive_age.model.losses.registry import weights_of
from contrastive_age.parameters import effective as params
from contrastive_age.parameters.setting import Setting
from contrastive_age.sources.manifest import siblings

CONF = Path(__file__).resolve().parents[2] / "conf" / "base" / "parameters"


@pytest.fixture
def given() -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for path in CONF.glob("*.yml"):
        merged |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return merged


def test_null_means_the_protocols_own_value(given: dict[str, Any]) -> None:
    found = params.effective(given, "morph_se")
    assert (found.training.epochs, found.training.batch_size, found.training.image_size) == (
        100,
        64,
        224,
    )
    assert (found.loss.lambda_c, found.loss.lambda_t) == (10, 1)
    assert params.effective(given, "fgnet_lopo").loss.lambda_c == 1


def test_what_is_given_wins(given: dict[str, Any]) -> None:
    given["loss"]["lambda_c"] = 8
    given["training"]["epochs"] = 3
    found = params.effective(given, "morph_se")
    assert found.loss.lambda_c == 8
    assert found.training.epochs == 3
    assert found.loss.lambda_m == 0.2


@pytest.mark.parametrize(
    ("setting", "weights"),
    [
        ("ce", (0, 0, 0, 0, 0)),
        ("mv", (0.2, 0.05, 0, 0, 0)),
        ("binary", (0.2, 0.05, 10, 0, 0)),
        ("ternary", (0.2, 0.05, 10, 1, 0)),
        ("triplet", (0.2, 0.05, 0, 1, 0)),
        ("kld", (0.2, 0.05, 0, 0, 1)),
        ("kld_ternary", (0.2, 0.05, 0, 1, 1)),
        ("kld_printed", (0.2, 0.05, 0, 0, 0)),
        ("rnc", (0.2, 0.05, 0, 0, 0)),
        ("unimodal", (0, 0, 0, 0, 0)),
    ],
)
def test_named_settings_are_the_papers(
    given: dict[str, Any], setting: str, weights: tuple[float, ...]
) -> None:
    loss = params.effective(given | {"setting": setting}, "morph_rs").loss
    assert (loss.lambda_m, loss.lambda_v, loss.lambda_c, loss.lambda_t, loss.lambda_k) == weights


def test_key_does_not_depend_on_how_a_value_is_written(given: dict[str, Any]) -> None:
    whole = given | {"loss": given["loss"] | {"lambda_c": 10}}
    real = given | {"loss": given["loss"] | {"lambda_c": 10.0}}
    implied = given
    keys = {params.effective(each, "morph_se").key for each in (whole, real, implied)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        ("loss", "lambda_c", 3),
        ("loss", "margin", 0.3),
        ("training", "lr", 0.01),
        ("model", "weights", "none"),
        ("model", "head", "dropout"),
        ("triplets", "mode", "explicit"),
        ("training", "average", 0.999),
        ("training", "reweight", "lds"),
        ("training", "head_epochs", 5),
        ("training", "validated_on", "people"),
        ("training", "watch_test", True),
        ("testing", "mirrored", True),
        ("testing", "rounded", True),
        ("augmentation", "flip", "none"),
        ("splitting", "seed", 5),
        ("alignment", "coverage", 1.0),
        (None, "seed", 1),
        (None, "max_samples", 100),
    ],
)
def test_every_value_that_decides_a_result_changes_the_key(
    given: dict[str, Any], block: str | None, name: str, value: Any
) -> None:
    before = params.effective(given, "fgnet_se")
    changed = {block: given[block] | {name: value}} if block else {name: value}
    after = params.effective(given | changed, "fgnet_se")
    assert after.key != before.key
    assert (after.group == before.group) == (name == "seed" and block is None)


def test_a_further_loss_is_in_a_key_only_where_it_has_a_weight(given: dict[str, Any]) -> None:
    toy = Term("toy", "Toy", "lambda_toy", lambda batch: batch.features)
    weights = weights_of([*LOSSES.values(), toy])
    setting = params.effective(given, "fgnet_se")
    further = create_model("Further", __base__=Setting, loss=(weights, ...))

    def key(**more: float) -> str:
        values = setting.model_dump()
        return further.model_validate(values | {"loss": values["loss"] | more}).key

    assert key() == key(lambda_toy=0) == setting.key
    assert key(lambda_toy=0.5) != setting.key
    assert key(lambda_toy=0.5) != key(lambda_toy=1)


@pytest.mark.parametrize(
    ("setting", "acting", "head"),
    [
        ("mv", {"lambda_m": 0.2, "lambda_v": 0.05}, "linear"),
        ("supcon", {"lambda_m": 0.2, "lambda_v": 0.05, "lambda_supcon": 1}, "linear"),
        ("conr", {"lambda_m": 0.2, "lambda_v": 0.05, "lambda_conr": 4}, "linear"),
        ("sord", {"lambda_s": 0, "lambda_sord": 1}, "linear"),
        ("unimodal", {"lambda_unimodal": 1000}, "linear"),
        ("or_cnn", {"lambda_s": 0, "lambda_or_cnn": 1}, "ordinal"),
        ("coral", {"lambda_s": 0, "lambda_coral": 1}, "coral"),
        ("l1", {"lambda_s": 0, "lambda_l1": 1}, "regression"),
        ("bmse", {"lambda_s": 0, "lambda_bmse": 1}, "noisy"),
    ],
)
def test_a_method_has_its_losses_and_the_head_that_they_need(
    given: dict[str, Any], setting: str, acting: dict[str, float], head: str
) -> None:
    found = params.effective(given | {"setting": setting}, "fgnet_se")
    papers = {"lambda_m", "lambda_v", "lambda_c", "lambda_t", "lambda_k"}
    dumped = found.model_dump(mode="json")["loss"]
    assert dumped == dict.fromkeys(papers, 0) | {"margin": 0.2} | acting
    assert found.architecture.head == found.recipe.architecture.head == head
    columns = found.columns()
    assert {name for name in columns if name.startswith("lambda_")} == {
        *(papers | {"lambda_k_printed"} | acting.keys())
    }
    assert columns.get("head", "linear") == head


@pytest.mark.parametrize(
    "effective", [lambda own: params.effective(own, "fgnet_se"), params.pretraining]
)
def test_the_head_that_losses_need_has_one_key_given_or_not(
    given: dict[str, Any], effective: Any
) -> None:
    given["setting"] = "coral"
    implied = effective(given)
    given["model"]["head"] = "coral"
    said = effective(given)
    assert (said, said.key, said.group) == (implied, implied.key, implied.group)
    assert said.model_dump() == implied.model_dump()
    assert said.architecture.head == "coral"
    given["setting"], given["model"]["head"] = "mv", "dropout"
    assert effective(given).architecture.head == "dropout"


def test_an_option_is_in_a_key_only_off_its_default(given: dict[str, Any]) -> None:
    def key(**loss: float) -> str:
        own = given | {"setting": "dldl", "loss": given["loss"] | loss}
        return params.effective(own, "fgnet_se").key

    assert key() == key(dldl_sigma=2) == key(lambda_s=0, smoothing=0)
    assert len({key(), key(dldl_sigma=3), key(lambda_s=1), key(lambda_s=1, smoothing=0.1)}) == 4


def test_named_settings_that_do_not_go_with_what_is_given_are_left_out(
    given: dict[str, Any],
) -> None:
    every = params.named_settings(given)
    assert all(set(own) == set(given["settings"]["fgnet"]) for own in every.values())
    softened = given | {"loss": given["loss"] | {"smoothing": 0.1}}
    kept = params.named_settings(softened, all_of_them=False)["fgnet_se"]
    assert {"mv", "ternary", "rnc", "unimodal"} <= set(kept)
    assert not {"l1", "dldl", "coral"} & set(kept)


def test_keys_are_those_of_earlier_versions(given: dict[str, Any]) -> None:
    keys = [params.effective(given, name).key for name in ("morph_se", "fgnet_lopo", "fgnet_se")]
    assert keys == ["ternary-cece940c", "ternary-e877128b", "ternary-6a64b3e2"]


def test_a_change_of_the_recipe_that_is_off_is_in_no_key(given: dict[str, Any]) -> None:
    before = params.effective(given, "fgnet_se")
    off = {
        "training": {
            "average": 0,
            "reweight": "none",
            "head_epochs": 0,
            "keep": "last",
            "validated_on": None,
            "watch_test": False,
        },
        "testing": {"mirrored": False, "rounded": None},
    }
    for block, values in off.items():
        given[block] |= values
    after = params.effective(given, "fgnet_se")
    assert (after, after.key) == (before, before.key)
    assert "testing" not in after.model_dump()
    assert not off["training"].keys() & after.model_dump()["training"].keys()
    assert {"average": 0, "mirrored": False, "rounded": False}.items() <= after.columns().items()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": {"lambda_c": -1}}, "lambda_c"),
        ({"loss": {"lambda_x": 1}}, "lambda_x"),
        ({"training": {"epochs": -1}}, "epochs"),
        ({"training": {"image_size": 500}}, "image_size"),
        ({"training": {"schedule": "warm"}}, "schedule"),
        ({"setting": "quaternary"}, "quaternary"),
        ({"model": {"head": "drop"}}, "model.head='drop': it must be one of linear, dropout"),
        ({"max_samples": 0}, "max_samples"),
    ],
)
def test_mistakes_are_named(given: dict[str, Any], changed: dict[str, Any], message: str) -> None:
    for name, value in changed.items():
        given[name] = given[name] | value if isinstance(value, dict) else value
    with pytest.raises(DataError, match=message):
        params.effective(given, "fgnet_se")


def test_sources_are_resolved_against_the_root(given: dict[str, Any], tmp_path: Path) -> None:
    relative = params.source(given, "fgnet", tmp_path)
    assert relative.folder == tmp_path / "data/01_raw/fgnet"
    absolute = params.source(given | {"raw_root": "/photos"}, "morph2", tmp_path)
    assert absolute.folder == Path("/photos/morph2")
    custom = params.source(given | {"manifest": "list.csv"}, "custom", tmp_path)
    assert custom.manifest == tmp_path / "list.csv"
    assert params.source(given | {"manifest": "list.csv"}, "fgnet", tmp_path).manifest is None


def test_columns_are_flat_and_hold_each_lambda(given: dict[str, Any]) -> None:
    columns = params.effective(given, "fgnet_se").columns()
    assert {"lambda_m", "lambda_v", "lambda_c", "lambda_t", "lambda_k", "margin"} <= set(columns)
    assert not any(isinstance(value, dict | list) for value in columns.values())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"folds_at_once": 0}, "folds_at_once=0"),
        ({"checkpoint_every": -1}, "checkpoint_every=-1"),
        ({"acceleration": {"precision": "float16"}}, "acceleration.precision='float16'"),
        ({"acceleration": {"channels_last": "never"}}, "acceleration.channels_last"),
        ({"acceleration": {"speed": 2}}, "acceleration.speed"),
    ],
)
def test_mistakes_in_how_to_compute_are_named(
    given: dict[str, Any], changed: dict[str, Any], message: str
) -> None:
    for name, value in changed.items():
        given[name] = given[name] | value if isinstance(value, dict) else value
    with pytest.raises(DataError, match=message):
        params.computing(given)


def test_what_decides_no_result_is_no_part_of_the_key(
    given: dict[str, Any],
) -> None:
    before = params.effective(given, "fgnet_se").key
    given["folds_at_once"] = 4
    given["checkpoint_every"] = 0
    given["device"] = "cpu"
    assert params.effective(given, "fgnet_se").key == before


@pytest.mark.parametrize(
    "asked",
    [{"precision": "bfloat16"}, {"channels_last": "true"}, {"compile": True}, {"fused": False}],
)
@pytest.mark.parametrize(
    "effective", [lambda own: params.effective(own, "fgnet_se"), params.pretraining]
)
def test_an_arithmetic_that_is_asked_for_is_part_of_the_key(
    given: dict[str, Any], asked: dict[str, Any], effective: Any
) -> None:
    before = effective(given)
    assert before.acceleration == {}
    given["acceleration"] |= asked
    after = effective(given)
    assert after.key != before.key
    acceleration = params.computing(given).acceleration
    assert after.acceleration == {name: getattr(acceleration, name) for name in asked}
    assert after.columns().items() >= after.acceleration.items()


FILES = [
    ("model.weights", "fgnet_se", lambda given, path: given["model"].update(weights=path)),
    ("manifest", "custom_se", lambda given, path: given.update(manifest=path)),
    ("folds_file", "fgnet_se", lambda given, path: given["splitting"].update(folds_file=path)),
]


@pytest.mark.parametrize(("name", "protocol", "give"), FILES, ids=[name for name, *_ in FILES])
def test_a_file_is_in_the_key_by_what_it_holds(
    given: dict[str, Any], tmp_path: Path, name: str, protocol: str, give: Any
) -> None:
    keys = {}
    for place, content in (("here", "a"), ("there", "a"), ("other", "b")):
        (tmp_path / place).write_text(content)
        give(given, str(tmp_path / place))
        keys[place] = params.effective(given, protocol).key
    give(given, "here")
    keys["relative"] = params.effective(given, protocol, tmp_path).key
    assert keys["here"] == keys["there"] == keys["relative"] != keys["other"]
    # Written anew with the same size: it is read again.
    (tmp_path / "there").write_text("c")
    give(given, str(tmp_path / "there"))
    assert params.effective(given, protocol).key not in keys.values()
    # Who needs a file that is missing says so; others, such as `kedro viz`, work without.
    give(given, str(tmp_path / "missing"))
    assert params.effective(given, protocol).key not in keys.values()


def test_a_manifest_decides_no_other_source(given: dict[str, Any], tmp_path: Path) -> None:
    before = params.effective(given, "fgnet_se").key
    (tmp_path / "people.csv").write_text("path,identity,age\n")
    given["manifest"] = str(tmp_path / "people.csv")
    assert params.effective(given, "fgnet_se").key == before
    assert params.source(given, "fgnet", tmp_path).key == "fgnet"
    digest = hashlib.sha256(b"path,identity,age\n").hexdigest()
    assert params.source(given, "custom", tmp_path).key == f"custom-{digest[:8]}"


def test_another_manifest_shares_no_photos(given: dict[str, Any], tmp_path: Path) -> None:
    shared = set()
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text(name)
        given["manifest"] = str(tmp_path / name)
        shared.add(params.effective(given, "custom_se").shared)
    assert len(shared) == 2


def test_a_home_folder_is_expanded(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "people.csv").write_text("path")
    source = params.source(
        given | {"manifest": "~/people.csv", "raw_root": "~/p"}, "custom", Path("r")
    )
    assert source.manifest == tmp_path / "people.csv"
    assert source.folder == tmp_path / "p"
    assert source.manifest_digest == hashlib.sha256(b"path").hexdigest()


def test_leaks_are_allowed_of_a_list_alone(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("sample_id,fold")
    for folds_file, other in ((None, False), (str(tmp_path / "list.csv"), True)):
        given["splitting"] |= {"folds_file": folds_file, "allow_leaks": False}
        before = params.effective(given, "fgnet_se").key
        given["splitting"]["allow_leaks"] = True
        assert (params.effective(given, "fgnet_se").key != before) == other


def test_siblings_are_the_folders_of_other_manifests(tmp_path: Path) -> None:
    for name in ("custom-0123abcd", "custom-ffffffff", "custom", "custom-b", "fgnet"):
        (tmp_path / name).mkdir()
    found = siblings(tmp_path / "custom-0123abcd", "custom")
    assert [path.name for path in found] == ["custom-0123abcd", "custom-ffffffff"]


def test_of_drawn_faces_the_bits_of_copies_are_no_part_of_the_key(given: dict[str, Any]) -> None:
    before = {name: params.effective(given, name).key for name in ("synthetic_se", "fgnet_se")}
    given["overlap"]["most_bits"] = 30
    assert params.effective(given, "synthetic_se").key == before["synthetic_se"]
    assert params.effective(given, "fgnet_se").key != before["fgnet_se"]


def test_where_files_lie_is_no_column(given: dict[str, Any], tmp_path: Path) -> None:
    columns = []
    for name in ("here.pth", "there.pth"):
        (tmp_path / name).write_text("weights")
        given["model"]["weights"] = str(tmp_path / name)
        effective = params.effective(given, "fgnet_se")
        columns.append(effective.columns())
        assert effective.places == {"model.weights": str(tmp_path / name)}
    assert columns[0] == columns[1]


def test_the_smallest_face_is_part_of_the_key(given: dict[str, Any]) -> None:
    before = params.effective(given, "fgnet_se")
    given["detection"]["min_face"] = 40
    after = params.effective(given, "fgnet_se")
    assert after.key != before.key
    assert after.faces != before.faces
    assert after.shared != before.shared


def test_drawn_faces_are_copies_only_where_they_are_equal(given: dict[str, Any]) -> None:
    assert params.effective(given, "fgnet_se").most_bits == 40
    assert params.effective(given, "synthetic_se").most_bits == 0


def test_only_the_papers_random_split_parts_copies(given: dict[str, Any]) -> None:
    grouped = {
        name: params.effective(given, name).splitting.group_copies for name in given["protocols"]
    }
    assert [name for name, own in grouped.items() if not own] == ["morph_rs"]
    given["splitting"]["group_copies"] = True
    assert params.effective(given, "morph_rs").splitting.group_copies


@pytest.mark.parametrize("share", [0.25, 1, 2])
def test_a_fold_takes_a_part_of_a_gpu_or_whole_ones(given: dict[str, Any], share: float) -> None:
    given["ray"]["gpus_per_fold"] = share
    assert params.check(given).ray.gpus_per_fold == share


@pytest.mark.parametrize(
    ("name", "value"),
    [("gpus_per_fold", 1.5), ("gpus_per_fold", -1), ("cpus_per_fold", 0), ("retry", 1)],
)
def test_a_share_that_ray_cannot_give_is_refused(
    given: dict[str, Any], name: str, value: float
) -> None:
    given["ray"][name] = value
    with pytest.raises(DataError, match=name):
        params.check(given)


def test_where_folds_run_is_no_part_of_the_key(given: dict[str, Any]) -> None:
    key = params.effective(given, "fgnet_lopo").key
    given["ray"] |= {"address": "10.0.0.1:6379", "cpus_per_fold": 4}
    assert params.effective(given, "fgnet_lopo").key == key


@pytest.mark.parametrize(
    ("protocol", "values", "words"),
    [
        ("utkface_to_fgnet", {"folds": 2}, "a transfer has one fold"),
        ("utkface_to_fgnet", {"trained_on": "fgnet"}, "another one than it is tested on"),
        ("utkface_to_fgnet", {"trained_on": None}, "a transfer needs the source that trains"),
        ("fgnet_se", {"folds": 1}, "give at least 2; only a transfer, or a published list"),
        ("fgnet_se", {"trained_on": "utkface"}, "it is for split: transfer"),
    ],
)
def test_only_a_transfer_has_one_fold_and_another_source(
    given: dict[str, Any], protocol: str, values: dict[str, Any], words: str
) -> None:
    given["protocols"][protocol] |= values
    with pytest.raises(DataError, match=words):
        params.effective(given, protocol)


def test_of_no_epochs_a_transfer_learns_from_nobody(given: dict[str, Any]) -> None:
    trained = params.effective(given, "utkface_to_fgnet")
    assert (trained.sources, trained.learns_from) == (("fgnet", "utkface"), "utkface")
    given["training"]["epochs"] = 0
    untrained = params.effective(given, "utkface_to_fgnet")
    assert (untrained.sources, untrained.learns_from) == (("fgnet",), "fgnet")
    assert untrained.shared != trained.shared
    assert untrained.plan.trained_on is None
    given["training"]["head_epochs"] = 5
    headed = params.effective(given, "utkface_to_fgnet")
    assert (headed.sources, headed.learns_from) == (("fgnet", "utkface"), "utkface")
