"""What is written on a command line, as parameters: `--params` and `kedro sweep --set`."""

import copy
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from omegaconf import OmegaConf

from contrastive_age.errors import DataError
from contrastive_age.parameters.given import Given, meant

SHARED = ("ingestion", "detection", "alignment", "splitting")
"""The stages whose results settings share, as `--tags=` names them."""

_PATHS = re.compile(
    r"raw_root|manifest|splitting\.folds_file|(.+\.)?model\.weights|sources\.[^.]+\.folder"
)
_MOST_SHOWN = 300
"""Characters of a text, and of what is said of it."""

_NOTHING = {"", "null", "Null", "NULL"}


def parameters(text: str) -> dict[str, Any]:
    """Read `name=value,name=value` as Kedro does, but each path as it is written.

    YAML, as which Kedro reads all values, makes numbers of 2024, 007 and 1e5, and ends `a #b` at
    the blank.

    Returns:
        The parameters, nested.

    Raises:
        DataError: A part has no name, or follows a comma inside a path.
    """
    others, paths = [], {}
    before = ""
    for item in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        unknown = name.partition(".")[0] not in Given.model_fields
        if before and unknown and not (equals and meant(name)):
            raise DataError(
                f"--params is split at commas, and {item!r} is no parameter: a path with a comma "
                f"goes into conf/local/parameters.yml, in quotes, or gets a link without one "
                f"({before}=...)"
            )
        if not name or not equals:
            raise DataError(f"--params={_shown(text)}: {item!r} is not written as name=value")
        before = name if _PATHS.fullmatch(name) else ""
        if before:
            paths[name] = as_read(name, value)
        else:
            others.append(f"{name}={value}")
    try:
        read = OmegaConf.from_dotlist(others)
        for name, path in paths.items():
            OmegaConf.update(read, name, path)
        found: Any = OmegaConf.to_container(read)
    except Exception as error:
        raise _unreadable(f"--params={text}", error) from error
    return dict(found)


def as_read(name: str, value: str) -> Any:
    """Read one value: a path as it is written, and all else as YAML does.

    Args:
        name: The parameter's dotted name.
        value: What is written after the equals sign. In quotes it is what stands between them.

    Raises:
        DataError: It is no YAML.
    """
    text = value.strip()
    if not _PATHS.fullmatch(name) or (text[:1] in {"'", '"'} and text[:1] == text[-1:] != text):
        try:
            return yaml.safe_load(text)
        except Exception as error:
            raise _unreadable(f"{name}={text}", error) from error
    return None if text in _NOTHING else text


def kedro_run(pipeline: str, *options: str, env: str | None = None, params: str = "") -> str:
    """Write a `kedro run` as a shell takes it.

    Args:
        pipeline: Its name.
        options: Further ones.
        env: The environment; None leaves it to the default one.
        params: As `as_text` writes them.
    """
    words = ["kedro", "run", *([f"--env={env}"] if env else []), f"--pipeline={pipeline}"]
    return shlex.join([*words, *options, *([f"--params={params}"] if params else [])])


def nested(common: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Write values with dotted names into nested parameters, and give these anew."""
    merged = copy.deepcopy(dict(common))
    for name, value in values.items():
        *blocks, last = name.split(".")
        place = merged
        for block in blocks:
            if not isinstance(place.get(block), dict):
                place[block] = {}
            place = place[block]
        place[last] = value
    return merged


def as_text(given: Mapping[str, Any]) -> str | None:
    """Write nested parameters as `--params` takes them, such as `loss.lambda_c=4,seed=1`.

    Returns:
        The text; None where none would be read as these values.
    """
    leaves = {name: "null" if value is None else str(value) for name, value in _leaves(given)}
    text = ",".join(f"{name}={value}" for name, value in leaves.items())
    try:
        return text if parameters(text) == given else None
    except DataError:
        return None


def _leaves(given: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Give the values of nested parameters by their dotted names."""
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _unreadable(text: str, error: Exception) -> DataError:
    """Say what YAML has against a text; what stands below a tag, such as !!int, can fail anyhow."""
    return DataError(f"{_shown(text)}: it cannot be read as YAML: {_shown(str(error))}")


def _shown(text: str) -> str:
    return " ".join(text.split())[:_MOST_SHOWN]
