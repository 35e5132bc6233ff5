"""Which final model a command uses: the one that is named, or the project's only one."""

from pathlib import Path

from contrastive_age.errors import DataError

MODELS = "data/06_models/*/*/final/age_model.pt"


def find_model(given: Path | None, project: Path) -> Path:
    """Give the model's file: the one that is named, or the only one that the project has.

    Raises:
        DataError: None is named, and there is not exactly one.
    """
    if given is not None:
        return given
    models = sorted(project.glob(MODELS))
    if not models:
        raise DataError(
            f"there is no model at {MODELS}; make one with `kedro run --pipeline=final_model`, or "
            f"name one with --model"
        )
    if len(models) > 1:
        listed = "".join(f"\n  --model={path.relative_to(project)}" for path in models)
        raise DataError(f"there are {len(models)} models; name one:{listed}")
    return models[0]
