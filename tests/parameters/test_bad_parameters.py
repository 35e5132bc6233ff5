"""Parameters that cannot be right are refused in one line, before anything runs."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from omegaconf import DictConfig, OmegaConf

from contrastive_age.cli import cli
from contrastive_age.errors import DataError
from contrastive_age.parameters.given import Given
from contrastive_age.parameters.loader import in_effect
from contrastive_age.parameters.written import parameters

CONF = Path(__file__).resolve().parents[2] / "conf"

REFUSED = {
    # names that do not exist, and what was meant
    "lamda_c=3": ["lamda_c=3: there is no such parameter", "did you mean loss.lambda_c?"],
    "lambda_c=3": ["did you mean loss.lambda_c?"],
    "epochs=3": ["did you mean training.epochs?"],
    "folds=3": ["did you mean protocols.<protocol>.folds?"],
    "loss.lamda_c=3": ["loss.lamda_c=3", "did you mean loss.lambda_c?"],
    "training.epoch=3": ["training.epoch=3", "did you mean training.epochs?"],
    "augmentation.rotation=3": ["augmentation.rotation=3: there is no such parameter"],
    "acceleration.precison=float32": ["did you mean acceleration.precision?"],
    "splitting.seeds=1": ["did you mean splitting.seed?"],
    "detection.worker=1": ["did you mean detection.workers?"],
    "gradcam.most=1": ["most=1: there is no such parameter"],
    "sources.fgnet.folders=x": ["sources.fgnet.folders='x': there is no such parameter"],
    "protocols.fgnet_se.fold=3": ["protocols.fgnet_se.fold=3: there is no such parameter"],
    "protocols.mine.folds=3": ["protocols.mine.source has no value"],
    "frobnicate=1": ["frobnicate=1: there is no such parameter"],
    ".=1": ["={'': 1}: there is no such parameter"],
    # values of the wrong kind
    "training.epochs=many": ["training.epochs='many'", "it must be a whole number"],
    "training.epochs=2.5": ["training.epochs=2.5", "it must be a whole number"],
    "seed=one": ["seed='one'", "it must be a whole number"],
    "log_faces=perhaps": ["log_faces='perhaps'"],
    "allow_outside_raw_root=maybe": ["allow_outside_raw_root='maybe'"],
    "raw_root=": ["raw_root has no value", "./null"],
    "raw_root=null": ["raw_root has no value", "./null"],
    "raw_root=~nobody-of-that-name": ["raw_root=~nobody-of-that-name", "./~nobody-of-that-name"],
    "manifest=s3://a/b.csv": ["manifest=s3://a/b.csv is an address"],
    "device=5": ["device=5", "valid string"],
    "training=3": ["training=3", "it must be a block"],
    "loss=ternary": ["loss='ternary'", "it must be a block"],
    "splitting=5": ["splitting=5"],
    "acceleration=fast": ["acceleration='fast'"],
    "gradcam=3": ["gradcam=3"],
    "protocols=3": ["protocols=3"],
    # values out of their range
    "loss.lambda_c=-1": ["loss.lambda_c=-1", "greater than or equal to 0"],
    "loss.lambda_t=nan": ["loss.lambda_t", "finite number"],
    "loss.margin=inf": ["loss.margin", "finite number"],
    "loss.smoothing=1": ["loss.smoothing=1", "less than 1"],
    "loss.lambda_dldl=1,loss.dldl_sigma=0": ["loss.dldl_sigma=0", "greater than 0"],
    # values that do not go together
    "loss.dldl_sigma=3": ["fit: loss.dldl_sigma has no effect without loss.lambda_dldl: give"],
    "setting=ce,loss.lambda_s=0": ["fit: no loss has a weight; give loss.lambda_s=1, or another"],
    "setting=l1,loss.lambda_coral=1": ["fit: loss.lambda_coral and loss.lambda_l1 need different"],
    "setting=l1,model.head=dropout": ["fit: model.head=dropout does not go", "need regression"],
    # and again out of their range
    "training.lr=nan": ["training.lr"],
    "training.lr=0": ["training.lr=0", "greater than 0"],
    "training.average=1": ["training.average=1", "less than 1"],
    "training.reweight=inverse": ["training.reweight='inverse'", "'none' or 'lds'"],
    "training.head_epochs=-1": ["training.head_epochs=-1"],
    "training.validated_on=subjects": ["training.validated_on='subjects'", "'people'"],
    "training.keep=best": ["fit: training.keep=best is the epoch", "training.validated_on=people"],
    "training.watch_test=true,validation=0.2": ["fit: training.watch_test looks at the test part"],
    "testing.mirrored=both": ["testing.mirrored='both'", "true or false"],
    "testing.round=true": ["did you mean testing.rounded?"],
    "training.epochs=-1": ["training.epochs=-1"],
    "training.batch_size=1": ["training.batch_size=1"],
    "training.image_size=16": ["training.image_size=16", "greater than or equal to 32"],
    "training.image_size=500": ["training.image_size=500", "less than or equal to 224"],
    "max_samples=0": ["max_samples=0"],
    "max_samples=nan": ["max_samples"],
    "validation=1.5": ["validation=1.5"],
    "seed=-1": ["seed=-1"],
    "folds_at_once=0": ["folds_at_once=0: it must be auto, or a whole number from 1 up"],
    "folds_at_once=many": ["folds_at_once='many': it must be auto"],
    "checkpoint_every=-1": ["checkpoint_every=-1", "greater than or equal to 0"],
    "checkpoint_every=inf": ["checkpoint_every", "finite number"],
    "alignment.coverage=9": ["coverage=9"],
    "detection.workers=0": ["detection.workers=0"],
    "detection.min_face=11": ["detection.min_face=11", "greater than or equal to 12"],
    "detection.min_face=inf": ["detection.min_face"],
    "report.faces=0": ["report.faces=0"],
    "protocols.fgnet_se.folds=1": ["folds=1"],
    # names of things that do not exist
    "setting=quaternary": ["setting=quaternary is unknown", "ternary"],
    "setting=3": ["setting=3"],
    "training.schedule=warm": ["training.schedule='warm'", "onecycle"],
    "sources.fgnet.layout=flat": ["sources.fgnet.layout='flat'", "manifest"],
    "protocols.fgnet_se.source=web": ["protocols.fgnet_se.source=web is none of fgnet, morph2"],
    "protocols.fgnet_se.settings=new": ["protocols.fgnet_se.settings=new is none of fgnet, morph"],
}


@cache
def written() -> DictConfig:
    """What the files of `base` hold."""
    files = (CONF / "base" / "parameters").glob("*.yml")
    return OmegaConf.merge(*(yaml.safe_load(path.read_text(encoding="utf-8")) for path in files))


def loaded(given: dict[str, Any]) -> dict[str, Any]:
    """What takes effect, with run-time parameters merged as Kedro merges them."""
    merged: Any = OmegaConf.to_container(OmegaConf.merge(written(), given))
    return in_effect(merged, CONF.parent)


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_right_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(DataError) as error:
        loaded(parameters(text))
    said = str(error.value)
    assert "\n" not in said
    for words in REFUSED[text]:
        assert words in said


def test_one_age_alone_is_no_range_of_classes() -> None:
    with pytest.raises(DataError, match="ages 20 to 20 hold no two classes"):
        loaded({"protocols": {"fgnet_se": {"ages": [20, 20]}}})
    with pytest.raises(DataError, match=r"protocols\.fgnet_se\.ages"):
        loaded({"protocols": {"fgnet_se": {"ages": [20]}}})


def test_every_mistake_is_said_at_once() -> None:
    with pytest.raises(DataError) as error:
        loaded({"lamda_c": 1, "raw_root": 2, "log_faces": "x"})
    for name in ("lamda_c", "raw_root", "log_faces"):
        assert f"{name}=" in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("raw_root", b"@"), ("settings", {b"fgnet": {}}), ("final_model", {"protocol": b"fgnet_se"})],
)
def test_bytes_of_a_file_are_no_name(name: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"{name}.*valid string"):
        loaded({name: value})


def test_a_block_may_leave_out_what_has_a_value_of_its_own() -> None:
    values: Any = OmegaConf.to_container(written()) | {"detection": {}}
    assert in_effect(values, CONF)["protocols"]


def test_a_number_in_a_file_is_no_name_without_quotes() -> None:
    for value in (7, 1e5, True):
        with pytest.raises(DataError, match=r"raw_root=.* put quotes around a name"):
            loaded({"raw_root": value})


def test_what_the_files_hold_is_what_can_be_set() -> None:
    names = {str(name) for name in written() if not str(name).startswith("_")}
    assert names == set(Given.model_fields)


def test_a_right_override_is_taken() -> None:
    found = loaded(parameters("loss.lambda_c=3,allow_outside_raw_root=true"))
    assert found["protocols"]["fgnet_se"]["loss"]["lambda_c"] == 3
    assert found["sources"]["custom"]["outside"] is True
    assert found["sources"]["custom"]["manifest"] is None


@pytest.mark.parametrize("text", ["lamda_c=3", "training.epoch=3", "loss.lambda_c=-1"])
def test_the_command_ends_with_one_line_and_status_1(text: str) -> None:
    arguments = ["sweep", "--pipeline=fgnet_se", "--set", "seed=0", f"--params={text}"]
    done = CliRunner().invoke(cli, arguments, prog_name="kedro")
    assert done.exit_code == 1
    assert done.output.startswith("Error: These parameters do not fit: ")
    assert done.output.count("\n") == 1
