"""Which final model a command uses: the one that is named, or the project's only one."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml
from kedro.utils import find_kedro_project

from contrastive_age.errors import DataError
from contrastive_age.paths import is_address

if TYPE_CHECKING:
    from contrastive_age.inference.model_file import AgeModel

NAME = "age_model.pt"
PLACE = f"06_models/*/*/final/{NAME}"
"""In a data folder."""

MODELS = f"data/{PLACE}"


def find_model(given: Path | None, stands_in: Path) -> Path:
    """Give the model's file: the one that is named, or the only one that the project has.

    Args:
        given: The one that is named.
        stands_in: A folder, in a project or not.

    Returns:
        Where several data folders have models, the one of the first of them.

    Raises:
        DataError: None is named, and there is not exactly one.
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
    by_folder = [sorted(folder.glob(PLACE)) for folder in data_folders(project)]
    models = next(filter(None, by_folder), [])
    if not models:
        raise DataError(
            f"there is no model at {project / MODELS}: `make demo` makes one of drawn faces for a "
            "try, `kedro run --pipeline=final_model --params=final_model.protocol=custom_se,"
            "raw_root=FOLDER,manifest=FOLDER/manifest.csv` one of your photos "
            "(docs/pretraining.md#the-final-model); or name one with --model=FILE"
        )
    if len(models) > 1:
        listed = "".join(f"\n  --model={os.path.relpath(path, stands_in)}" for path in models)
        raise DataError(f"there are {len(models)} models; name one:{listed}")
    return models[0]


def data_folders(project: Path) -> list[Path]:
    """Give the data folders of all environments on this disk, this machine's own first.

    Args:
        project: The project's root.

    Returns:
        That of `conf/local`, that of `conf/base`, those of other environments; `data` where none
        says where its data lie.
    """
    conf = project / "conf"
    files = [conf / name / "globals.yml" for name in ("local", "base")]
    roots = []
    for file in filter(Path.is_file, dict.fromkeys([*files, *sorted(conf.glob("*/globals.yml"))])):
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        roots += [str(values["data_root"])] if "data_root" in values else []
    # What is composed of other values is not known without a session.
    plain = [root for root in roots or ["data"] if not is_address(root) and "${" not in root]
    return list(dict.fromkeys(project / Path(root).expanduser() for root in plain))


def announce(path: Path, model: "AgeModel") -> None:
    """Say which model is used, and what its ages are worth, beside a command's output."""
    from contrastive_age.inference.cards import error_words

    card = shlex.join(["kedro", "predict", "--card", f"--model={path}"])
    click.echo(f"{path}: {model.name}. {error_words(model.facts)} Its card: {card}", err=True)
