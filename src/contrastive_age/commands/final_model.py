"""Which final model a command uses: the one that is named, or the project's only one."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml
from kedro.utils import find_kedro_project

from contrastive_age.errors import DataError
from contrastive_age.paths import expanded, is_address

if TYPE_CHECKING:
    from contrastive_age.inference.model_file import AgeModel

NAME = "age_model.pt"
PLACE = f"06_models/*/*/final/{NAME}"
"""In a data folder."""


def find_model(given: Path | None, stands_in: Path) -> Path:
    """Give the model's file: the one that is named, or the only one that the project has.

    Args:
        given: The one that is named.
        stands_in: A folder, in a project or not.

    Returns:
        Where several data folders have models, the one of the first of them.

    Raises:
        DataError: None is named, and there is not exactly one, or a `globals.yml` cannot be read.
    """
    if given is not None and given.is_dir():
        raise DataError(f"{given} is a folder; name the model in it: --model={given / NAME}")
    if given is not None:
        return given
    project: Path | None = find_kedro_project(stands_in)
    if project is None:
        raise DataError(
            f"{stands_in} is in no project, whose model would be used: stand in the project's "
            "folder, or name a model with --model=FILE"
        )
    folders = data_folders(project)
    models = next(filter(None, (sorted(folder.glob(PLACE)) for folder in folders)), [])
    if not models:
        searched = " or ".join(str(folder / PLACE) for folder in folders)
        raise DataError(
            f"there is no model {f'at {searched}' if searched else 'on a disk'}: `make demo` makes "
            "one of drawn faces for a try, `kedro run --pipeline=final_model "
            "--params=final_model.protocol=custom_se,raw_root=FOLDER,manifest=FOLDER/manifest.csv` "
            "one of your photos (docs/pretraining.md#the-final-model); or name one with "
            "--model=FILE"
        )
    if len(models) > 1:
        listed = "".join(f"\n  --model={os.path.relpath(path, stands_in)}" for path in models)
        raise DataError(f"there are {len(models)} models; name one:{listed}")
    return models[0]


def data_folders(project: Path) -> list[Path]:
    """Give the data folders of all environments on this disk, those of a plain run first.

    Args:
        project: The project's root.

    Returns:
        That of the environment that `KEDRO_ENV` names, or of `conf/local`; that of `conf/base`;
        those of other environments; `data` where none says where its data lie.

    Raises:
        DataError: A `globals.yml` cannot be read, or names a home that nobody has.
    """
    conf = project / "conf"
    first = (os.environ.get("KEDRO_ENV") or "local", "base")
    files = [*(conf / name / "globals.yml" for name in first), *sorted(conf.glob("*/globals.yml"))]
    roots = [root for file in dict.fromkeys(files) if file.is_file() and (root := _root(file))]
    # What is composed of other values is not known without a session.
    plain = [root for root in roots or ["data"] if not is_address(root) and "${" not in root]
    return list(dict.fromkeys(project / root for root in plain))


def _root(file: Path) -> str:
    """Where a `globals.yml` says that its data lie; empty where it does not."""
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(values, dict):
            raise DataError("it is no list of names with their values")
        root = str(values.get("data_root") or "")
        return str(expanded(root)) if root.startswith("~") else root
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise DataError(
            f"{file} cannot be read: {why}; mend it, or name a model with --model=FILE"
        ) from error


def announce(path: Path, model: "AgeModel") -> None:
    """Say which model is used, and what its ages are worth, beside a command's output."""
    from contrastive_age.inference.cards import error_words

    card = shlex.join(["kedro", "predict", "--card", f"--model={path}"])
    click.echo(f"{path}: {model.name}. {error_words(model.facts)} Its card: {card}", err=True)
