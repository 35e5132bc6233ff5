"""Folds are made for the parameters that use them."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT
from contrastive_age.errors import DataError
from contrastive_age.parameters import effective as params
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.folds import Folds, check_leakage
from contrastive_age.protocols.parts import parts


def split(samples: pd.DataFrame, looks: pd.DataFrame, setting: Setting) -> Folds:
    listed = setting.splitting.folds_file
    return setting.plan.make(samples, looks, Path(listed) if listed else None)


@pytest.fixture
def given() -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for path in (ROOT / "conf" / "base" / "parameters").glob("*.yml"):
        merged |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return merged


@pytest.fixture
def samples() -> pd.DataFrame:
    rows = [
        (f"{who}/{age}", f"{who}/{age}.jpg", f"{who}", age) for who in range(10) for age in (3, 9)
    ]
    return pd.DataFrame(rows, columns=["sample_id", "path", "identity", "age"])


def looks_of(samples: pd.DataFrame, copies: dict[str, str] | None = None) -> pd.DataFrame:
    """Photos of different bytes and no known look, but those that are named copies of others."""
    ids = samples["sample_id"]
    photos = ids.replace(copies or {})
    digests = [hashlib.sha256(photo.encode()).hexdigest() for photo in photos]
    return pd.DataFrame({"sample_id": ids, "digest": digests, "look": "", "mirrored": ""})


def write_list(path: Path, samples: pd.DataFrame, folds: Any) -> dict[str, Any]:
    pd.DataFrame({"filename": samples["path"], "Split": folds}).to_csv(path, sep=";", index=False)
    return {"folds_file": str(path)}


def splitting(given: dict[str, Any], **values: Any) -> dict[str, Any]:
    return given | {"splitting": given["splitting"] | values}


def photos_of(*identities: str, each: int) -> pd.DataFrame:
    rows = [
        (f"{who}/{n:02d}", f"{who}/{n:02d}.jpg", who, 20 + n)
        for who in identities
        for n in range(each)
    ]
    return pd.DataFrame(rows, columns=["sample_id", "path", "identity", "age"])


def test_folds_of_other_parameters_are_refused(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    setting = params.effective(given, "fgnet_se")
    folds, report = split(samples, looks_of(samples), setting)
    assert report["leaked_images"] == 0
    setting.plan.require(folds, samples)
    for changed in ({"max_samples": 8}, {"splitting": given["splitting"] | {"seed": 1}}):
        other = params.effective(given | changed, "fgnet_se")
        with pytest.raises(DataError, match="made otherwise"):
            other.plan.require(folds, samples)


def test_all_settings_share_their_folds(given: dict[str, Any], samples: pd.DataFrame) -> None:
    looks = looks_of(samples)
    one, _ = split(samples, looks, params.effective(given | {"seed": 1}, "fgnet_se"))
    other, _ = split(samples, looks, params.effective(given | {"setting": "mv"}, "fgnet_se"))
    assert one["fold"].equals(other["fold"])
    assert one.attrs == other.attrs


@pytest.fixture
def twice() -> tuple[pd.DataFrame, dict[str, str]]:
    """200 photos of ten people; 156 are byte for byte a photo of another, n of n + 5."""
    samples = photos_of(*"0123456789", each=20)
    copies = [(f"{n % 5 + 5}/{n // 5:02d}", f"{n % 5}/{n // 5:02d}") for n in range(78)]
    return samples, dict(copies)


def test_copies_under_two_names_are_tested_in_one_fold(
    given: dict[str, Any],
    twice: tuple[pd.DataFrame, dict[str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    samples, copies = twice
    samples["age"] = 30  # so that copies contradict each other in whom they show alone
    samples.loc[0, "age"] = 31
    folds, report = split(samples, looks_of(samples, copies), params.effective(given, "custom_se"))
    assert "78 are of several people and 1 of several ages" in " ".join(caplog.text.split())
    fold = folds.set_index("sample_id")["fold"]
    assert all(fold[one] == fold[other] for one, other in copies.items())
    assert report["leaked_copies"] == 0
    assert report["copies"] | {"examples": [], "contradicting": []} == {
        "groups": 78,
        "images": 156,
        "by_bytes": 78,
        "by_look": 0,
        "by_mirror": 0,
        "largest": 2,
        "across_identities": 78,
        "across_ages": 1,
        "examples": [],
        "contradicting": [],
    }
    assert report["copies"]["contradicting"][0] == [
        {"sample_id": "0/00", "identity": "0", "age": 31},
        {"sample_id": "5/00", "identity": "5", "age": 30},
    ]
    assert report["copies"]["examples"][0] == ["0/00", "5/00"]
    assert list(folds.columns) == ["sample_id", "identity", "age", "fold"]
    assert len(json.loads(folds.attrs["copies"])) == 78


@pytest.mark.parametrize("protocol", ["custom_se", "custom_rs"])
def test_copies_that_may_stay_are_counted(
    given: dict[str, Any],
    twice: tuple[pd.DataFrame, dict[str, str]],
    protocol: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    samples, copies = twice
    setting = params.effective(splitting(given, group_copies=False), protocol)
    with caplog.at_level(logging.INFO):
        folds, report = split(samples, looks_of(samples, copies), setting)
    fold = folds.set_index("sample_id")["fold"]
    apart = 2 * sum(fold[one] != fold[other] for one, other in copies.items())
    assert report["leaked_copies"] == apart > 0
    assert report["leaked_copies_share"] == apart / 200
    assert sum(entry["leaked_copies"] for entry in report["folds"]) == apart
    assert "copies" not in folds.attrs
    assert f"; {apart / 2:.1f}% of test images have a copy in training; 156 images" in caplog.text


def test_morphs_random_split_is_the_papers_and_counts(
    given: dict[str, Any], twice: tuple[pd.DataFrame, dict[str, str]]
) -> None:
    samples, copies = twice
    setting = params.effective(given, "morph_rs")
    plain, _ = split(samples, looks_of(samples), setting)
    folds, report = split(samples, looks_of(samples, copies), setting)
    assert folds["fold"].equals(plain["fold"])
    assert report["leaked_copies"] > 0
    # what only is counted is not refused, however much there is
    same = dict.fromkeys(samples["sample_id"], "0/00")
    _, report = split(samples, looks_of(samples, same), setting)
    assert report["leaked_copies"] == 200
    with pytest.raises(DataError, match="200 of 200 photos count as copies of one"):
        split(samples, looks_of(samples, same), params.effective(given, "custom_rs"))


def test_chips_in_two_folders_are_tested_in_one_fold(given: dict[str, Any]) -> None:
    names = [f"{20 + n}_0_0_{n}.jpg.chip" for n in range(24)]
    ids = [f"{folder}/{name}" for folder in ("UTKFace", "crop_part1") for name in names]
    ages = [20 + n for n in range(24)] * 2
    samples = pd.DataFrame({"sample_id": ids, "path": ids, "identity": range(48), "age": ages})
    samples["identity"] = samples["identity"].astype("str")
    copies = dict(zip(ids[24:], ids[:24], strict=True))
    for protocol in ("utkface_rs", "custom_se"):
        folds, report = split(samples, looks_of(samples, copies), params.effective(given, protocol))
        fold = folds["fold"].to_numpy()
        assert (fold[:24] == fold[24:]).all()
        assert np.ptp(np.bincount(fold)) <= 2
        assert report["leaked_copies"] == 0


def test_looks_make_copies_too_and_only_of_the_chosen_samples(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    looks = looks_of(samples)
    looks.loc[[0, 19], ["look", "mirrored"]] = ["ab" * 32, "cd" * 32]
    looks.loc[19, "look"] = "ab" * 31 + "aa"
    shuffled = looks.sample(frac=1, random_state=0)
    setting = params.effective(splitting(given, group_copies=False), "custom_se")
    _, report = split(samples, shuffled, setting)
    assert (report["copies"]["by_look"], report["copies"]["images"]) == (1, 2)
    assert report["copies"]["examples"] == [["0/3", "9/9"]]
    few = params.effective(splitting(given, group_copies=False) | {"max_samples": 19}, "custom_se")
    folds, report = split(samples, looks, few)
    both = {"0/3", "9/9"} <= set(folds["sample_id"])
    assert report["copies"]["groups"] == both
    with pytest.raises(DataError, match=r"1 samples have no aligned face, the first is 9/9"):
        split(samples, looks.iloc[:-1], setting)


def test_folds_of_other_samples_are_refused(given: dict[str, Any], samples: pd.DataFrame) -> None:
    samples.attrs["fingerprint"] = "before"
    setting = params.effective(given, "fgnet_se")
    folds, report = split(samples, looks_of(samples), setting)
    check_leakage(folds, report)
    with pytest.raises(DataError, match=r"leakage\.json is of other folds"):
        check_leakage(folds, report | {"leaked_images": 1})
    relabelled = samples.assign(age=samples["age"] + 1)
    relabelled.attrs["fingerprint"] = "after"
    with pytest.raises(DataError, match="samples was before and is now after"):
        setting.plan.parts(folds, relabelled, 0)


def test_a_copy_of_the_tested_person_leaves_training(given: dict[str, Any]) -> None:
    samples = photos_of("a", "b", "c", each=4)
    protocols = given["protocols"] | {"fgnet_lopo": given["protocols"]["fgnet_lopo"] | {"folds": 3}}
    three = splitting(given, group_copies=False) | {"protocols": protocols}
    setting = params.effective(three, "fgnet_lopo")
    plain, _ = split(samples, looks_of(samples), setting)
    folds, report = split(samples, looks_of(samples, {"b/01": "a/00"}), setting)
    trained = [
        set(setting.plan.parts(folds, samples, fold).training["sample_id"]) for fold in range(3)
    ]
    assert "b/01" not in trained[0] and "a/00" not in trained[1]
    assert [len(own) for own in trained] == [7, 7, 8]
    assert [entry["n_train"] for entry in report["folds"]] == [7, 7, 8]
    assert [entry["left_out"] for entry in report["folds"]] == [1, 1, 0]
    assert [entry["copies"] for entry in report["folds"]] == [1, 1, 0]
    assert report["leaked_copies"] == 0
    assert folds["fold"].equals(plain["fold"])
    assert folds.attrs["fingerprint"] != plain.attrs["fingerprint"]


def test_a_split_list_that_leaks_is_refused(
    given: dict[str, Any], samples: pd.DataFrame, tmp_path: Path
) -> None:
    own = write_list(tmp_path / "split.csv", samples, np.arange(len(samples)) % 5)
    looks, changed = looks_of(samples), splitting(given, **own)
    with pytest.raises(DataError, match=r"share subjects.*splitting\.allow_leaks=true"):
        split(samples, looks, params.effective(changed, "fgnet_se"))
    folds, report = split(samples, looks, params.effective(changed, "custom_rs"))
    assert report["leaked_images"] > 0
    assert folds["fold"].nunique() == 5


def test_a_list_that_leaks_a_little_can_be_admitted(
    given: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = photos_of(*"0123456789", each=4)
    numbers = samples["identity"].astype(int).to_numpy() % 5
    numbers[0] = 1  # one photo of person 0, whose others are in fold 0
    own = write_list(tmp_path / "split.csv", samples, numbers + 1)
    looks = looks_of(samples, {"4/00": "3/00"})
    changed = splitting(given, **own, allow_leaks=True)
    setting = params.effective(changed, "fgnet_se")
    folds, report = split(samples, looks, setting)
    assert folds["fold"].tolist() == numbers.tolist()
    assert report["leaked_images"] == 4
    assert report["leaked_copies"] == 2
    assert report["leaking_samples"] == ["0/00", "0/01", "0/02", "0/03", "3/00", "4/00"]
    assert "6 of 40 test images have their subject or a copy in training" in caplog.text
    # the list is used as others used it
    assert len(setting.plan.parts(folds, samples, 1).training) == 40 - 9
    validated = params.effective(changed | {"validation": 0.2}, "fgnet_se")
    part = validated.plan.parts(folds, samples, 1)
    assert not set(part.tested["identity"]) & ({"0", "1", "6"} | set(part.training["identity"]))


@pytest.mark.parametrize(
    ("protocol", "group_copies", "leaves"),
    [
        ("custom_se", True, 2),
        ("custom_se", False, 2),
        ("custom_rs", True, 2),
        ("custom_rs", False, 0),
    ],
)
def test_copies_leave_the_training_part_of_a_listed_fold(
    given: dict[str, Any], tmp_path: Path, protocol: str, group_copies: bool, leaves: int
) -> None:
    samples = photos_of(*"0123456789", each=4)
    own = write_list(tmp_path / "split.csv", samples, samples["identity"].astype(int) % 5)
    setting = params.effective(splitting(given, **own, group_copies=group_copies), protocol)
    folds, report = split(samples, looks_of(samples, {"4/00": "3/00"}), setting)
    assert sum(entry["left_out"] for entry in report["folds"]) == leaves
    assert report["leaked_copies"] == 2 - leaves
    assert len(setting.plan.parts(folds, samples, 3).training) == 32 - leaves / 2


def test_folds_that_copies_make_uneven_are_said(
    given: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    samples = photos_of(*"0123456789", each=4)
    chain = {f"{n + 1}/00": f"{n}/01" for n in range(5)}  # six people are one
    folds, _ = split(samples, looks_of(samples, chain), params.effective(given, "custom_se"))
    assert folds["fold"].value_counts().max() == 24
    assert "one fold holds 24 of 40 images" in caplog.text


def test_the_number_of_folds_must_be_the_pipelines(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=r"fgnet_lopo\.folds=10"):
        split(samples, looks_of(samples), params.effective(given, "fgnet_lopo"))


@pytest.mark.parametrize(
    ("change", "protocol", "said"),
    [
        (
            {"age": 30},
            "fgnet_se",
            "All 20 samples of fgnet_se have age 30: .* nothing to learn",
        ),
        ({"age": 70}, "fgnet_se", r"20 samples .* outside 0 to 69.*0/3, age 70.*fgnet_se\.ages"),
        ({"age": 15}, "morph_se", "outside 16 to 77"),
        ({"identity": "x"}, "fgnet_se", "at least 5 subjects, but there are only 1"),
    ],
)
def test_samples_that_no_network_can_learn_from_are_refused(
    given: dict[str, Any], samples: pd.DataFrame, change: dict[str, Any], protocol: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        split(samples.assign(**change), looks_of(samples), params.effective(given, protocol))


def test_people_of_whom_nothing_is_known_are_not_kept_apart_in_name_alone(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    unknown = samples.assign(identity=samples["sample_id"])
    with pytest.raises(DataError, match=r"column identity.*custom_rs"):
        split(unknown, looks_of(unknown), params.effective(given, "custom_se"))
    split(unknown, looks_of(unknown), params.effective(given, "custom_rs"))


def test_all_train_where_no_fold_is_tested(given: dict[str, Any], samples: pd.DataFrame) -> None:
    setting = params.effective(given, "fgnet_se")
    folds, _ = split(samples, looks_of(samples, {"0/3": "1/3"}), setting)
    training, tested = setting.plan.parts(folds, samples, None)
    assert training.equals(folds)
    assert tested.empty
    relabelled = samples.assign(age=samples["age"] + 1)
    relabelled.attrs["fingerprint"] = "other"
    with pytest.raises(DataError, match="made otherwise"):
        setting.plan.parts(folds, relabelled, None)


def test_a_validation_part_is_of_the_seed_that_makes_the_folds(
    given: dict[str, Any], samples: pd.DataFrame
) -> None:
    setting = params.effective(given | {"validation": 0.25}, "fgnet_se")
    folds, _ = split(samples, looks_of(samples), setting)
    found = setting.plan.parts(folds, samples, 1)
    assert found.tested.equals(parts(folds, 1, 0.25, setting.splitting.seed).tested)
    # The folds are those of the test parts, whatever is held out of them.
    plain = params.effective(given, "fgnet_se")
    plain.plan.require(folds, samples)
    assert plain.plan.parts(folds, samples, 1).tested.equals(folds[folds["fold"] == 1])
