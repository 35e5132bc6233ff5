"""What is written on a command line is read as YAML, but paths as they are written."""

from pathlib import Path
from typing import Any

import pytest
from kedro.framework.cli.utils import _split_params
from omegaconf import OmegaConf

from contrastive_age.errors import DataError
from contrastive_age.parameters.given import Given, validated
from contrastive_age.parameters.written import as_read, as_text, parameters

NAMES = [
    "2024",
    "007",
    "1e5",
    "true",
    "2024-01-01",
    "0x1f",
    "a: b #c",
    "c=d",
    "[a]",
    "*",
    "grün%41",
]
NAMES += ["~", "~/photos", "./null", "none", "a:b", "/photos/", "'a", "$x"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "parameter", ["raw_root", "splitting.folds_file", "pretrain.model.weights", "sources.x.folder"]
)
def test_a_path_is_taken_as_it_is_written(parameter: str, name: str) -> None:
    found: Any = parameters(f"seed=1, {parameter}={name} ,setting=mv")
    for part in parameter.split("."):
        found = found[part]
    assert found == name
    assert as_read(parameter, f" {name} ") == name


def test_a_path_can_stand_in_quotes_and_null_is_none() -> None:
    assert parameters("""raw_root="2024",manifest='a b'""") == {
        "raw_root": "2024",
        "manifest": "a b",
    }
    assert parameters("manifest=null,raw_root=") == {"manifest": None, "raw_root": None}


@pytest.mark.parametrize(
    "text", ["", "seed=3", "loss.lambda_c=1e-2,training.epochs=2", "max_samples=null", "device= a"]
)
def test_all_else_is_read_as_kedro_does(text: str) -> None:
    assert parameters(text) == _split_params(None, None, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raw_root=/photos/a,b", "'b' is no parameter: a path with a comma .*parameters.yml"),
        ("raw_root=/photos/a,b=c,seed=1", "'b=c' is no parameter: a path with a comma"),
        ("manifest=/a,b.csv", r"gets a link without one \(manifest="),
        ("setting=mv,ternary", "'ternary' is not written as name=value"),
        ("=3", "'=3' is not written as name=value"),
        ("training.lr={a", "training.lr={a: "),
        ("raw_root=${a", "raw_root="),
        ("sweeps==", "sweeps==: it cannot be read as YAML"),
        ("seed=!!int x", "seed=!!int x: it cannot be read as YAML"),
        ("seed=!!bool x", "it cannot be read as YAML"),
        ("seed=!!timestamp x", "it cannot be read as YAML"),
        ("seed=&a [*a]", "it cannot be read as YAML"),
        ("seed=" + "9" * 5000, "seed=999.*it cannot be read as YAML"),
        ("seed=\x02\n1", "seed=\x02 1: it cannot be read as YAML"),
        ("seed=\n1,a\nb", r"seed= 1,a b: 'a\\nb' is not written as name=value"),
        ("seed=" + "[" * 3000, r"it cannot be read as YAML"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        parameters(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("text", ["[1", "!!int x", "!!bool x", "=", "2024-13-01", "*a"])
def test_one_value_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(DataError, match="cannot be read as YAML") as error:
        as_read("loss.lambda_c", text)
    assert "\n" not in str(error.value)


def test_signs_that_name_another_parameter_can_be_meant_themselves() -> None:
    given = parameters(r"raw_root=\${x}/a")
    merged: Any = OmegaConf.to_container(OmegaConf.merge({"raw_root": "b"}, given), resolve=True)
    assert Path(merged["raw_root"]) == Path("${x}/a")


def test_a_mistyped_name_behind_a_path_is_no_part_of_the_path() -> None:
    given = parameters("raw_root=/photos,epochs=3")
    assert given == {"raw_root": "/photos", "epochs": 3}
    with pytest.raises(DataError, match=r"did you mean training\.epochs"):
        validated(Given, {"epochs": 3})


def test_what_is_written_out_is_read_as_the_same() -> None:
    given = {
        "seed": 1,
        "loss": {"lambda_c": 4.5, "lambda_t": 0},
        "max_samples": None,
        "setting": "mv",
    }
    assert parameters(as_text(given)) == given
    assert as_text({}) == ""
    assert as_text({"pretrain": {"sources": ["utkface", "custom"]}}) is None
