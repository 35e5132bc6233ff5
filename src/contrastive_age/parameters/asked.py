"""What has been asked for to get a setting: in a few words, and as the command that gets it again.

Both say what differs from the values that a protocol has of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from contrastive_age.errors import DataError
from contrastive_age.parameters.effective import effective, pretraining
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.parameters.setting import PRETRAIN, Learning, Pretraining, Setting
from contrastive_age.parameters.written import as_text, kedro_run, nested
from contrastive_age.reporting.papers import flattened, value_in_words

LONGEST = 60
"""Characters of a title."""

_PLACES = ("raw_root", "sources")
"""Parameters that no setting has and that say where its photos lie."""
_DATA = ("allow_outside_raw_root", "most_megapixels", "age", "gradcam")
"""Those that decide which of them it sees, and what is explained."""
_NO_PARAMETER = (
    *("protocol", "source", "trained_on", "split", "folds", "sources", "drawn"),
    *("age_min", "age_max"),
)
_BY_CONTENT = {
    "model.weights": "model.digest",
    "splitting.folds_file": "splitting.folds_file_digest",
}
"""Parameters that name files, and what says in a setting what these hold."""
_SELDOM_SAID = ("lambda_m", "lambda_v")
"""Weights that all named settings have in common, but for the one without them."""
_STARTS = {
    "imagenet": "ImageNet",
    "efficientnet_lite0": "EfficientNet-Lite0 of ImageNet",
    "none": "random weights",
}
_SAID_FIRST = ("training.", "model.")
_DIGITS = 4


@dataclass(frozen=True)
class Asked:
    """What is given in a session, and what there is when nothing is given.

    Attributes:
        env: The environment.
        parameters: All parameters of the session.
        plain: Where none are given: those of the environment, then those without `conf/local`.
        root: The project's, where relative paths start.
        options: Of a command, where the configuration is not the project's own.
    """

    env: str
    parameters: Mapping[str, Any]
    plain: Sequence[Mapping[str, Any]]
    root: Path
    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, loader: ProjectConfigLoader) -> "Asked":
        """Read it from the loader of the session."""
        env = str(loader.env or loader.default_run_env)
        source = Path(loader.conf_source)
        own = source.name == "conf" and (loader.root / "pyproject.toml").is_file()
        options = () if own else (f"--conf-source={source}",)
        return cls(env, loader["parameters"], loader.plain, loader.root, options)

    def title(self, setting: Learning) -> str:
        """Name a setting, such as "ternary λc=4 λt=1 seed 0, 64 px, from best 1a2b".

        Losses beyond the mean-variance loss are always named, and whatever else is not the
        protocol's own. What gets too long is cut, and ends with the digits of the setting's key.
        """
        try:
            unlike = self._unlike(setting, self.plain[-1])
        except DataError:  # a named setting, or a protocol, that is no more
            return setting.key
        words = [setting.setting]
        for path, value in _values(setting).items():
            block, _, name = path.partition(".")
            acts = name.startswith("lambda_") and value and name not in _SELDOM_SAID
            if block == "loss" and (acts or path in unlike):
                words.append(f"{name.replace('lambda_', 'λ')}={_number(value)}")
        if isinstance(setting, Pretraining):
            words.append(f"on {'+'.join(setting.sources)}")
        words.append(f"seed {setting.seed}")
        # What gets cut is what matters least.
        others = [
            _in_words(path, unlike[path], setting)
            for path in sorted(unlike, key=lambda path: not path.startswith(_SAID_FIRST))
            if not path.startswith("loss.") and path not in {"seed", "pretrain.sources"}
        ]
        title = ", ".join([" ".join(words), *others])
        return title if len(title) <= LONGEST else f"{title[: LONGEST - 10]}… {setting.key[-8:]}"

    def command(self, setting: Learning) -> str | None:
        """Write the command that gets a setting, with the configuration as it is now.

        Returns:
            The command; None where there is none: the configuration has changed since, a file is
            not where it was, or a path cannot be given by `--params`.
        """
        given: dict[str, Any] = {"setting": setting.setting}
        try:
            for plain in self.plain:
                given |= self._unlike(setting, plain)
                given |= _unlike(_flat(self.parameters, _DATA), _flat(plain, _DATA))
            # Elsewhere they lie elsewhere: where is this machine's own matter.
            here, usual = _flat(self.parameters, _PLACES), _flat(self.plain[0], _PLACES)
            given |= _unlike(here, usual)
            if "manifest" in given:
                given["manifest"] = self.parameters["manifest"]
            # Here, and where `conf/local` says nothing.
            keys = {
                self._learning(nested(plain, given), setting.protocol).key for plain in self.plain
            }
        except DataError:
            return None
        params = as_text(nested({}, {name: _whole(value) for name, value in given.items()}))
        if params is None or keys != {setting.key}:
            return None
        return kedro_run(setting.protocol, *self.options, env=self.env, params=params)

    def local(self, setting: Learning) -> list[str]:
        """The dotted names of what a setting has from `conf/local`, unless a command gave it."""
        here, usual, now = (flattened(each, skipped=()) for each in (*self.plain, self.parameters))
        values = _values(setting)
        of_setting = {name for name, value in values.items() if name != "manifest" or value}
        of_setting |= {f"protocols.{setting.protocol}", "raw_root"}
        of_setting |= {f"sources.{source}" for source in setting.sources}
        return [
            path
            for path, value in _unlike(here, usual).items()
            if (path in of_setting or path.partition(".")[0] in {*_DATA, setting.protocol})
            and now.get(path) == value
        ]

    def _unlike(self, setting: Learning, plain: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a setting that a protocol does not have of its own, by dotted name."""
        own = self._learning({**plain, "setting": setting.setting}, setting.protocol)
        values = _values(setting)
        unlike = _unlike(_values(setting, by_content=True), _values(own, by_content=True))
        return {path: values.get(path) for path in unlike}

    def _learning(self, parameters: Mapping[str, Any], protocol: str) -> Learning:
        if protocol == PRETRAIN:
            return pretraining(parameters, self.root)
        if protocol not in parameters["protocols"]:
            raise DataError(f"{protocol} is no protocol of the project's own")
        return effective(parameters, protocol, self.root)


def _values(setting: Learning, *, by_content: bool = False) -> dict[str, Any]:
    """A setting's values by the dotted names of their parameters.

    Args:
        setting: Of a protocol, or of the pretraining.
        by_content: Whether a file's value is what it holds, and not where it lies.
    """
    values = flattened(setting.model_dump(mode="json"), skipped=_NO_PARAMETER)
    digests = {path: values.pop(digest, None) for path, digest in _BY_CONTENT.items()}
    if isinstance(setting, Setting):
        values[f"protocols.{setting.protocol}.folds"] = setting.folds
    else:
        values["pretrain.sources"] = "+".join(setting.sources)
    known = {path: digest for path, digest in digests.items() if digest}
    return values | known if by_content else values


def _flat(parameters: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Some of all parameters by dotted name."""
    flat = {name: parameters[name] for name in names if name != "sources"}
    for name, source in parameters["sources"].items() if "sources" in names else []:
        flat[f"sources.{name}"] = source
    return flattened(flat, skipped=())


def _unlike(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from other values; None is what these alone have."""
    return {
        path: values.get(path)
        for path in [*values, *(path for path in others if path not in values)]
        if values.get(path) != others.get(path)
    }


def _in_words(path: str, value: Any, setting: Learning) -> str:
    """Such as "64 px", or "from best 1a2b": a file by its name and what it holds."""
    if path == "manifest":
        return f"manifest {str(value)[:_DIGITS]}"
    if path == "model.weights":
        digits = (setting.model.digest or "")[:_DIGITS]
        return f"from {_STARTS.get(value, PurePath(value).stem)} {digits}".rstrip()
    words = value_in_words(path, value)
    if path == "splitting.folds_file" and isinstance(setting, Setting) and value:
        words += f" {(setting.splitting.folds_file_digest or '')[:_DIGITS]}"
    return words


def _whole(value: Any) -> Any:
    """A number without a point where there is nothing after it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Any) -> str:
    """Such as "4", or "0.05", in as many digits as it takes to tell it from all others."""
    return str(_whole(value))
