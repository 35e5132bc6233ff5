"""Whatever is given for a parameter: it takes effect, or is refused with its name."""

from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from contrastive_age.cli import cli
from contrastive_age.errors import DataError
from contrastive_age.parameters.loader import in_effect
from contrastive_age.running import faults
from fuzz.cases import VALUES, cases, watched

pytestmark = pytest.mark.endurance

CONF = Path(__file__).resolve().parents[2] / "conf"


@cache
def written() -> DictConfig:
    """What the files of `base` hold."""
    files = sorted((CONF / "base" / "parameters").glob("*.yml"))
    return OmegaConf.merge(*(yaml.safe_load(path.read_text(encoding="utf-8")) for path in files))


@cache
def known() -> list[str]:
    """The dotted names of all parameters and of their blocks."""

    def names(values: Any, before: str = "") -> list[str]:
        inner = values.items() if isinstance(values, dict) else []
        return [
            each for name, own in inner for each in (before + name, *names(own, f"{before}{name}."))
        ]

    return names(OmegaConf.to_container(written()))


NAMES = st.one_of(
    st.sampled_from(known()),
    st.sampled_from(known()),
    st.sampled_from([name for name in known() if name.count(".") == 0]),
    st.builds("{}{}".format, st.sampled_from(known()), st.sampled_from([".x", "s", ".", " ", "0"])),
    st.text(max_size=5),
)


def nested(name: str, value: Any) -> dict[str, Any]:
    """Put a value at a dotted name."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def takes_effect(given_values: dict[str, Any], root: Path) -> None:
    """Merge values as Kedro does; what cannot be right is refused in one line."""
    with watched():
        try:
            merged: Any = OmegaConf.merge(written(), given_values)
            config: Any = OmegaConf.to_container(merged, resolve=True)
            assert in_effect(config, root)["protocols"]
        except DataError as error:
            is_one_line(str(error))
        except OmegaConfBaseException as error:
            is_one_line(faults.explain(error))


def is_one_line(said: str | None) -> None:
    assert said
    assert "\n" not in said


def test_each_value_takes_effect_or_is_refused(tmp_path: Path) -> None:
    @cases()
    @given(NAMES, VALUES)
    def each(name: str, value: Any) -> None:
        merged: Any = OmegaConf.to_container(written())
        block, parts = merged, name.split(".")
        for part in parts[:-1]:
            inner = block.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = block[part] = {}
            block = inner
        block[parts[-1]] = value
        with watched():
            try:
                assert in_effect(merged, tmp_path)["protocols"] or name == "protocols"
            except DataError as error:
                is_one_line(str(error))

    each()


TEXTS = st.one_of(
    *(st.integers().map(str), st.floats().map(str), st.text(max_size=8)),
    st.sampled_from(
        [
            *("", " ", "null", "~", "~/x", "yes", "1e-3", "1_000", "0x10", "[1", "[1,2]", "{a: 1}"),
            *("a: b", "'", '"', "%", "${x}", "${oc.env:HOME}", "!!python/none", "&a", "*a", "a,b"),
            *("a=b", "2024", "2024-01-01", "08", "1:30", "\n", "\t", "-", "#", ".inf", ".nan"),
            *("../x", "1,", "|", ">", "=", "!!int x", "!!bool x", "!!timestamp x", "!!binary é"),
            *("&a [*a]", "9" * 5000, "[" * 3000, "2024-13-01", "!!python/object:os.system x"),
            *("!!binary QA==", "{? [a]}", "${a", "${sweeps}", "${raw_root}", "\\${x}", "<<: 1"),
        ]
    ),
)


def test_each_text_of_a_command_line_takes_effect_or_is_refused(tmp_path: Path) -> None:
    @cases()
    @given(
        st.lists(
            st.tuples(NAMES, st.sampled_from(["=", "=", "=", ":", "", "=="]), TEXTS), max_size=3
        )
    )
    def each(given_texts: list[tuple[str, str, str]]) -> None:
        text = ",".join(map("".join, given_texts))
        try:
            with cli.commands["run"].make_context("run", [f"--params={text}"]) as context:
                values = context.params["params"]
        except click.ClickException as error:
            is_one_line(error.format_message())
            return
        takes_effect(values, tmp_path)

    each()


def test_each_text_of_a_sweep_is_read_or_refused() -> None:
    @cases()
    @given(NAMES, st.sampled_from(["=", "=", ":", "", "=="]), st.lists(TEXTS, max_size=3))
    def each(name: str, equals: str, values: list[str]) -> None:
        text = f"{name}{equals}{','.join(values)}"
        with watched():
            try:
                with cli.commands["sweep"].make_context("sweep", [f"--set={text}"]) as context:
                    assert all(context.params["axes"].values())
            except click.ClickException as error:
                is_one_line(error.format_message())

    each()
