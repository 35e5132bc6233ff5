"""What the model card promises of files, servers and telemetry, read from the project's files."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from contrastive_age.parameters import effective as params
from contrastive_age.parameters.loader import ProjectConfigLoader, project_parameters
from contrastive_age.tracking.results import may_log_faces

OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
SOURCES = sorted((ROOT / "src").rglob("*.py"))
KEYS = {"weights_only", "allow_pickle"}


def _calls(path: Path, name: str) -> Iterator[dict[str, object]]:
    """The keyword arguments of each call of a function such as `torch.load`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
            yield {own.arg: ast.literal_eval(own.value) for own in node.keywords if own.arg in KEYS}


def test_weights_are_only_loaded_as_weights() -> None:
    found = [own for path in SOURCES for own in _calls(path, "torch.load")]
    assert len(found) == 1
    assert all(own.get("weights_only") is True for own in found)


def test_arrays_are_loaded_without_pickles() -> None:
    found = [own for path in SOURCES for own in _calls(path, "np.load")]
    assert found
    assert not any(own.get("allow_pickle") for own in found)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "conf").rglob("catalog/*.yml")), ids=lambda p: p.stem
)
def test_the_catalog_holds_no_pickle(path: Path) -> None:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert entries
    assert not any("pickle" in str(entry).lower() for entry in entries.values())


def test_servers_are_started_on_loopback_alone() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    servers = [line for line in lines if "mlflow ui" in line or "last_run" in line]
    assert len(servers) == 2
    assert all("--host 127.0.0.1" in line for line in servers)


def test_no_telemetry_is_sent() -> None:
    assert yaml.safe_load((ROOT / ".telemetry").read_text(encoding="utf-8")) == {"consent": False}
    told = "import os, contrastive_age.settings; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, env=OUTSIDE
    )
    assert done.stdout.split()[-1] == "true"


def test_faces_go_to_mlflow_only_where_they_are_drawn_or_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The project's own parameters, whatever was asked for in this process before.
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    given = project_parameters()
    for protocol, allowed in (("synthetic_se", True), ("fgnet_se", False), ("morph_se", False)):
        setting = params.effective(given, protocol)
        assert may_log_faces(given, setting) is allowed
        assert may_log_faces(given | {"log_faces": True}, setting) is True
        assert may_log_faces(given | {"log_faces": False}, setting) is False
