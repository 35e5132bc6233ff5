"""What was run last, as `make viz` shows it: with its environment, parameters and pipeline.

Called as a module it starts Kedro-Viz, with further options after those of the run.
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from contrastive_age.files import replacing
from contrastive_age.parameters.written import as_text
from contrastive_age.tracking.tracker import tracker

NOTE = Path(".viz") / "last_run.json"
"""In the project: the options of `kedro viz run` that show the last run."""


class LastRun:
    """Kedro's hook that notes each run when it has made something, also those of a sweep."""

    @hook_impl
    def before_pipeline_run(self, run_params: Mapping[str, Any]) -> None:
        """Remember the run; one that is refused before any work is not what was run last."""
        self._params: Mapping[str, Any] | None = run_params

    @hook_impl
    def after_node_run(self) -> None:
        """Note the run, unless it is a part of one; where a project cannot be written, none is."""
        run_params, self._params = self._params, None
        if run_params is not None and not tracker.is_worker:
            note = Path(run_params["project_path"]) / NOTE
            with suppress(OSError), replacing(note) as file:
                file.write_text(json.dumps(viz_options(run_params)), encoding="utf-8")

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Note the run, where all its nodes ran in other processes."""
        self.after_node_run()


def viz_options(run_params: Mapping[str, Any]) -> list[str]:
    """Give the options of `kedro viz run` that show a run.

    Args:
        run_params: As Kedro's hooks get them.
    """
    params = as_text(run_params["runtime_params"] or {})
    if params is None:  # without them another setting would be shown
        return []
    pipelines = run_params["pipeline_names"] or ["__default__"]
    named = {
        "env": run_params["env"],
        "params": params,
        # Kedro-Viz shows one or all.
        "pipeline": pipelines[0] if len(pipelines) == 1 else "",
    }
    return [f"--{name}={value}" for name, value in named.items() if value]


def noted(project: Path) -> list[str]:
    """Give the options that show a project's last run; none where it is not known."""
    try:
        options = json.loads((project / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    is_whole = isinstance(options, list) and all(isinstance(each, str) for each in options)
    return options if is_whole else []


if __name__ == "__main__":
    command = ["kedro", "viz", "run", *noted(Path.cwd()), *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606
