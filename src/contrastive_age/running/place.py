"""The project that is run: its parameters and sessions, read and opened from outside of Kedro."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import settings
from kedro.framework.session import KedroSession

from contrastive_age.parameters.loader import ProjectConfigLoader


@dataclass(frozen=True)
class Place:
    """A project with its configuration.

    Attributes:
        project: Its root.
        env: The environment; None is the default one.
        conf_source: The folder of configuration; None is the project's own.
    """

    project: Path
    env: str | None = None
    conf_source: str | None = None

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Read the parameters as a session would, without opening one."""
        source = self.conf_source or str(self.project / settings.CONF_SOURCE)
        loader = ProjectConfigLoader(
            source, env=self.env, runtime_params=dict(given), **settings.CONFIG_LOADER_ARGS
        )
        return dict(loader["parameters"])

    def session(self, given: Mapping[str, Any]) -> AbstractContextManager[Any]:
        """Open a session with these run-time parameters."""
        return KedroSession.create(
            project_path=self.project,
            env=self.env,
            runtime_params=dict(given),
            conf_source=self.conf_source,
        )

    def context(self, given: Mapping[str, Any]) -> KedroContext:
        """Give the parameters and the catalog that a session with these parameters has."""
        with self.session(given) as session:
            context: KedroContext = session.load_context()
        return context
