"""What takes effect of the parameters: what is given wins over a protocol's own values.

`null` in the parameters means the protocol's own value.
"""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from contrastive_age.errors import DataError
from contrastive_age.model.architecture import NAMED_WEIGHTS
from contrastive_age.parameters.given import Given, Preset, PretrainingGiven, Source, validated
from contrastive_age.parameters.setting import Pretraining, Setting
from contrastive_age.paths import expanded
from contrastive_age.provenance import file_digest
from contrastive_age.sources.layouts import of_table, source_folder
from contrastive_age.training.recipe import Computing


def check(params: Mapping[str, Any]) -> Given:
    """Refuse parameters that do not exist, and values whose kind cannot be right.

    Names that begin with an underscore are anchors of the YAML files.

    Args:
        params: The project's parameters as merged by Kedro.

    Raises:
        DataError: There is such a parameter; the message names all, and what was perhaps meant.
    """
    return validated(Given, {name: params[name] for name in params if not name.startswith("_")})


def effective(params: Mapping[str, Any], protocol: str, root: Path = Path()) -> Setting:
    """Merge the protocol's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.
        protocol: A key of `params["protocols"]`.
        root: Where relative paths start: files are known by what they hold.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    values = dict(params["protocols"][protocol])
    sources = [name for name in (values["source"], values.get("trained_on")) if name]
    splitting = {
        "group_copies": values.pop("group_copies", True),
        **_given(params["splitting"]),
        "folds_file_digest": _digest(root, params["splitting"]["folds_file"]),
    }
    return validated(
        Setting,
        values
        | _learning(params, values, sources, root)
        | {
            "protocol": protocol,
            "splitting": splitting,
            "drawn": all(params["sources"][name].get("synthetic") is not None for name in sources),
            "validation": params["validation"],
            "overlap": params["overlap"],
            "testing": _given(params["testing"]),
        },
    )


def named_settings(
    params: Mapping[str, Any], root: Path = Path(), *, all_of_them: bool = True
) -> dict[str, dict[str, Setting]]:
    """Give each protocol's named settings as they are when nothing else is given.

    Args:
        params: All parameters of a configuration; those of the base environment alone have the
            paper's values.
        root: Where relative paths start: files are known by what they hold.
        all_of_them: Whether one that cannot be run is an error, or left out.

    Returns:
        By protocol, then by the setting's name, such as `ternary`.

    Raises:
        DataError: An unknown key, or a value out of its range.
    """
    named: dict[str, dict[str, Setting]] = {protocol: {} for protocol in params["protocols"]}
    for protocol, values in params["protocols"].items():
        for setting in params["settings"][values["settings"]]:
            with nullcontext() if all_of_them else suppress(DataError):
                named[protocol][setting] = effective({**params, "setting": setting}, protocol, root)
    return named


def pretraining(params: Mapping[str, Any], root: Path = Path()) -> Pretraining:
    """Merge the pretraining's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.
        root: Where relative paths start: files are known by what they hold.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    values = dict(params["pretrain"])
    # Twice the same source would be twice the same faces.
    names = tuple(dict.fromkeys(PretrainingGiven.model_validate(values).names))
    learning = _learning(params, values, names, root)
    return validated(Pretraining, values | learning | {"sources": names})


def _learning(
    params: Mapping[str, Any], values: dict[str, Any], sources: Iterable[str], root: Path
) -> dict[str, Any]:
    """What decides a training: taken out of the own values of a protocol, and what is given."""
    settings = params["settings"][values.pop("settings")]
    if params["setting"] not in settings:
        raise DataError(
            f"setting={params['setting']} is unknown; choose one of {', '.join(sorted(settings))}"
        )
    age_min, age_max = values.pop("ages")
    blocks: dict[str, Any] = {
        name: values.pop(name) | _given(params[name])
        for name in ("training", "triplets", "model", "augmentation")
    }
    weights = blocks["model"].get("weights")
    # What is given may be no name at all, and cannot be looked up then.
    named = weights in tuple(NAMED_WEIGHTS)
    blocks["model"]["digest"] = None if named else _digest(root, weights)
    listed = any(of_table(params["sources"][name]["layout"]) for name in sources)
    return {
        **blocks,
        "age_min": age_min,
        "age_max": age_max,
        "loss": settings[params["setting"]] | _given(params["loss"]),
        **{name: params[name] for name in ("setting", "seed", "max_samples", "alignment")},
        "detection": _given({"min_face": params["detection"].get("min_face")}),
        "manifest": _digest(root, params["manifest"]) if listed else None,
        "acceleration": computing(params).acceleration.given,
    }


def computing(params: Mapping[str, Any]) -> Computing:
    """Validate where and how folds are computed.

    Args:
        params: The project's parameters as merged by Kedro.

    Raises:
        DataError: An unknown key, or a value out of its range.
    """
    return validated(Computing, {field.name: params[field.name] for field in fields(Computing)})


def preset_of(params: Mapping[str, Any], name: str) -> Preset:
    """Give the grid of a name.

    Raises:
        DataError: There is no such name, or it is not laid out as a grid.
    """
    known = params["sweeps"]
    if name not in known:
        raise DataError(f"preset={name} is unknown; choose one of {', '.join(known)}")
    return validated(Preset, known[name])


def source(params: Mapping[str, Any], name: str, root: Path) -> Source:
    """Resolve a source's folder and manifest against the project's root.

    Args:
        params: The project's parameters as merged by Kedro.
        name: A key of `params["sources"]`.
        root: The project's root, where relative paths start.
    """
    given = params["sources"][name]
    manifest = params["manifest"] if of_table(given["layout"]) else None
    raw_root = root / _path("raw_root", params["raw_root"])
    folder = _path(f"sources.{name}.folder", given["folder"])
    drawn = given.get("synthetic") is not None
    return validated(
        Source,
        given
        | {
            "name": name,
            "folder": raw_root / folder if drawn else source_folder(raw_root, folder),
            "manifest": root / _path("manifest", manifest) if manifest else None,
            "manifest_digest": _digest(root, manifest),
            "outside": params["allow_outside_raw_root"],
            "most_megapixels": params["most_megapixels"],
            "round_ages": params["age"] == "round",
        },
    )


def _path(name: str, path: str | Path) -> Path:
    try:
        return expanded(path)
    except DataError as error:
        raise DataError(f"{name}={error}") from error


def _digest(root: Path, path: Any) -> str | None:
    """The SHA-256 of a file that a parameter names; None where there is none to be read.

    Nothing is said of a missing one: who needs it says so, and all else works without.
    """
    if not isinstance(path, str):
        return None
    try:
        return file_digest(root / expanded(path))
    except (OSError, ValueError):
        return None


def _given(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}
