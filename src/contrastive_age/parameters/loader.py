"""The project's config loader: each protocol's effective values, and its setting's key in paths."""

import copy
import os
from collections import UserDict
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from kedro.config import OmegaConfigLoader
from kedro.utils import find_kedro_project
from omegaconf import OmegaConf

from contrastive_age.errors import DataError
from contrastive_age.parameters import effective as merged
from contrastive_age.parameters.given import Source
from contrastive_age.parameters.setting import PRETRAIN, Learning, Pretraining, Setting
from contrastive_age.paths import SQLITE, expanded, is_address, sqlite_path, sqlite_uri
from contrastive_age.provenance import file_digest

SETTING = "<setting>"
PART = "<part>"
ARTIFACTS = "mlartifacts"
"""The folder of the files of MLflow's runs, where no server keeps them."""

ROOTS = ("data_root", "local_root")
"""Of the globals: the folders that runs write into."""

PATTERN_SIGNS = "*?[{}"
"""By these Kedro knows the patterns of its files of configuration and of its data sets."""


class ProjectConfigLoader(OmegaConfigLoader):
    """Adds validated values to the parameters and writes setting keys into the catalog.

    - `parameters` gains `effective.protocols.<protocol>`, `effective.sources.<source>` and
      `effective.pretraining`, `effective.computing`, `effective.ray` and `effective.explanation`,
      and what the paper's results are compared with: `effective.papers.<protocol>.<setting>`, the
      values of the base environment when nothing is given.
    - The folders of a source that a manifest lists are named by what the manifest holds, so two
      manifests are two sources.
    - A catalog path that says `<setting>` becomes one entry per protocol with its setting's key, so
      a changed parameter is another folder. `<part>/` becomes nothing, or the folder of what is
      made for an inner validation part.

    It remembers itself as `latest`, so that the pipeline registry, which Kedro calls without
    arguments, sees the environment and the parameters of the run. `kept` is what all loaders have
    read since `keep`.
    """

    latest: "ProjectConfigLoader | None" = None
    kept: ClassVar[dict[str, Any] | None] = None

    def __init__(self, conf_source: str, *args: Any, **kwargs: Any) -> None:
        """Make the project's root known to the configuration files, then load as Kedro does.

        Raises:
            DataError: Kedro would take the path of the project's root for a pattern.
        """
        self.root = Path(conf_source).resolve().parent
        signs = " ".join(sign for sign in PATTERN_SIGNS if sign in str(self.root))
        if signs:
            raise DataError(
                f"{self.root}: in the name of a folder that the project lies in, {signs} means "
                "something to Kedro; rename that folder"
            )
        for name, resolve in {
            "tracking_uri": lambda: tracking_uri(self.root),
            "artifact_location": lambda: artifact_location(self.root),
        }.items():
            OmegaConf.register_new_resolver(name, resolve, replace=True)
        # Before this loader: the last one that is made gives `globals` their values.
        base = kwargs.get("base_env") or "base"
        self._base = OmegaConfigLoader(conf_source, base_env=base, default_run_env=base)
        self._without_given = OmegaConfigLoader(
            conf_source, *args, **{**kwargs, "runtime_params": None}
        )
        super().__init__(conf_source, *args, **kwargs)
        ProjectConfigLoader.latest = self

    @classmethod
    def keep(cls) -> None:
        """From here on, let all loaders of this process give what the first one reads.

        For one whose runs all have the same parameters: reading them is most of a session.
        """
        cls.kept = {}

    def __getitem__(self, key: str) -> Any:
        """Give a configuration, with what this project adds to `parameters` and `catalog`."""
        if self.kept is None:
            return self._load(key)
        if key not in self.kept:
            self.kept[key] = self._load(key)
        return copy.deepcopy(self.kept[key])

    def _load(self, key: str) -> Any:
        if key == "parameters":
            return copy.deepcopy(self._parameters)
        config = super().__getitem__(key)
        if key == "globals":
            return config | {name: _root(name, config[name]) for name in ROOTS if name in config}
        return self._with_setting_keys(config) if key == "catalog" else config

    @cached_property
    def plain(self) -> list[dict[str, Any]]:
        """The parameters where none are given: of the environment, then without `conf/local`.

        The latter are what everyone has who gives the environment's name; `conf/local` is of this
        machine.
        """
        here: dict[str, Any] = self._without_given["parameters"]
        is_local = (self.env or self.default_run_env) == "local"
        return [here, self._base["parameters"] if is_local else here]

    @property
    def local_files(self) -> list[Path]:
        """The files of `conf/local` that change parameters here, relative to the project's root."""
        folder = Path(self.conf_source).resolve() / "local"
        is_read = (self.env or self.default_run_env) == "local"
        found = sorted(folder.rglob("*.y*ml")) if is_read else []
        files = [file.relative_to(self.root) for file in found]
        return [file for file in files if "parameters" in str(file.relative_to(*file.parts[:2]))]

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        """All parameters; a run asks for them several times, and reading the files takes long."""
        config: dict[str, Any] = super().__getitem__("parameters")
        effective = in_effect(config, self.root)
        # No `dict`: of such, Kedro makes a data set for each of its thousands of values.
        effective["papers"] = UserDict(
            {
                protocol: {name: each.model_dump(mode="json") for name, each in settings.items()}
                for protocol, settings in merged.named_settings(self._base["parameters"]).items()
            }
        )
        return config | {"effective": effective}

    def _with_setting_keys(self, config: dict[str, Any]) -> dict[str, Any]:
        settings = settings_of(self._parameters)
        sources = self._parameters["effective"]["sources"].values()
        listed = [each for each in map(Source.model_validate, sources) if each.manifest_digest]
        entries: dict[str, Any] = {}
        for entry, body in config.items():
            for source in listed if "{source}" in entry else []:
                path = body["filepath"].replace("{source}", source.key)
                entries[entry.replace("{source}", source.name)] = body | {"filepath": path}
            if not any(mark in str(body) for mark in (SETTING, PART)):
                entries[entry] = body
                continue
            for protocol, setting in settings.items():
                share = getattr(setting, "validation", None)
                part = "" if share is None else f"validation-{share}/"
                path = body["filepath"].replace("{protocol}", protocol)
                path = path.replace(SETTING, setting.key).replace(f"{PART}/", part)
                entries[entry.replace("{protocol}", protocol)] = body | {"filepath": path}
        return entries


def _root(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"{name}: {value} in globals.yml is read as no name; put it in quotes")
    return value if is_address(value) else str(expanded(value))


def in_effect(config: dict[str, Any], root: Path) -> dict[str, Any]:
    """Validate all parameters and give what each protocol, source and computation takes of them.

    Args:
        config: The project's parameters as merged by Kedro.
        root: The project's root, where relative paths start.

    Raises:
        DataError: A parameter does not exist, or its value cannot be right.
    """
    given = merged.check(config)
    return {
        "protocols": {
            name: merged.effective(config, name, root).model_dump() for name in given.protocols
        },
        "pretraining": merged.pretraining(config, root).model_dump(),
        "sources": {
            name: merged.source(config, name, root).model_dump(mode="json")
            for name in given.sources
        },
        "computing": asdict(merged.computing(config)),
        "ray": given.ray.model_dump(),
        "explanation": given.gradcam.model_dump(),
    }


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Learning]:
    """Give what each protocol and the pretraining are trained with, from all parameters."""
    effective = parameters["effective"]
    settings: dict[str, Learning] = {
        name: Setting.model_validate(values) for name, values in effective["protocols"].items()
    }
    return settings | {PRETRAIN: Pretraining.model_validate(effective["pretraining"])}


def tracking_uri(root: Path) -> str:
    """Where MLflow keeps its runs: where the environment says, else a database in the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(root / "mlflow.db")


def artifact_location(root: Path) -> str | None:
    """The folder of artifacts beside the database; a server keeps them in a place of its own."""
    uri = tracking_uri(root)
    if uri.startswith(("http://", "https://")):
        return None
    home = sqlite_path(uri).parent.resolve() if uri.startswith(SQLITE) else root
    return f"{home.as_posix()}/{ARTIFACTS}"


def environment() -> str:
    """The configuration environment of the run that is being prepared; `base` is the plain one."""
    loader = ProjectConfigLoader.latest
    return "base" if loader is None or loader.env in {None, "local"} else str(loader.env)


def plain_settings() -> dict[str, dict[str, dict[str, Any]]]:
    """The values of each protocol's named settings in this configuration when nothing is given.

    Those that it cannot run, such as losses that need another head than it has, are left out.
    """
    loader = ProjectConfigLoader.latest
    if loader is None:
        return {}
    named = merged.named_settings(loader.plain[0], loader.root, all_of_them=False)
    return {
        protocol: {name: each.model_dump(mode="json") for name, each in settings.items()}
        for protocol, settings in named.items()
    }


def project_path(path: str | Path) -> Path:
    """Resolve a path that a parameter gives: relative ones start at the project's root."""
    loader = ProjectConfigLoader.latest
    return expanded(path) if loader is None else loader.root / expanded(path)


def own_folders() -> list[Path]:
    """The folders that this project writes into: its own, and those of the globals."""
    loader = ProjectConfigLoader.latest
    if loader is None:
        return [Path.cwd()]
    values = [loader["globals"].get(name) for name in ROOTS]
    return [loader.root, *(loader.root / each for each in values if each and not is_address(each))]


def unchanged(path: str | Path, digest: str | None) -> Path:
    """Resolve the path of a file that is in a setting's key by what it holds.

    Args:
        path: As a parameter gives it.
        digest: Its SHA-256 when the command began; None where it was not there.

    Raises:
        DataError: It was changed or made since. One that is missing is left to who reads it.
    """
    file = project_path(path)
    if file.is_file() and file_digest(file) != digest:
        raise DataError(
            f"{file} was changed or made after this command began; start it again, so that results "
            "are named by what it holds"
        )
    return file


def project_parameters() -> dict[str, Any]:
    """The parameters of the run that is being prepared, or the project's plain ones."""
    loader = ProjectConfigLoader.latest
    if loader is None:
        from kedro.framework.project import settings

        root = find_kedro_project(Path.cwd()) or Path(__file__).resolve().parents[3]
        loader = ProjectConfigLoader(
            str(root / settings.CONF_SOURCE), **settings.CONFIG_LOADER_ARGS
        )
    return dict(loader["parameters"])
