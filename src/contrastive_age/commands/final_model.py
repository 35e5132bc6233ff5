"""Which final model a command uses: the one that is named, or the project's only one."""

import os
from pathlib import Path

from kedro.utils import find_kedro_project

from contrastive_age.errors import DataError

NAME = "age_model.pt"
MODELS = f"data/06_models/*/*/final/{NAME}"


def find_model(given: Path | None, stands_in: Path) -> Path:
    """Give the model's file: the one that is named, or the only one that the project has.

    Args:
        given: The one that is named.
        stands_in: A folder, in a project or not.

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
    models = sorted(project.glob(MODELS))
    if not models:
        raise DataError(
            f"there is no model at {project / MODELS}; make one with `kedro run "
            "--pipeline=final_model`, or name one with --model=FILE"
        )
    if len(models) > 1:
        listed = "".join(f"\n  --model={os.path.relpath(path, stands_in)}" for path in models)
        raise DataError(f"there are {len(models)} models; name one:{listed}")
    return models[0]
