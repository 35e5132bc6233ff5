"""What is noted of a run is what Kedro-Viz is given to show it."""

from pathlib import Path
from typing import Any

import pytest

from contrastive_age.running.last_run import NOTE, LastRun, noted
from contrastive_age.tracking.tracker import tracker


def run_params(project: Path, **given: Any) -> dict[str, Any]:
    none = {"env": None, "runtime_params": None, "pipeline_names": None}
    return none | {"project_path": str(project)} | given


def note_run(params: dict[str, Any]) -> None:
    hook = LastRun()
    hook.before_pipeline_run(params)
    hook.after_node_run()
    hook.after_pipeline_run()


def test_a_run_that_made_nothing_is_not_the_last_one(tmp_path: Path) -> None:
    note_run(run_params(tmp_path, env="demo"))
    LastRun().before_pipeline_run(run_params(tmp_path, pipeline_names=["fgnet_se"]))
    assert noted(tmp_path) == ["--env=demo", "--pipeline=__default__"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"env": "demo", "pipeline_names": ["fgnet_lopo"]},
        {"runtime_params": {"loss": {"lambda_c": 4}, "setting": "ternary", "seed": 1}},
        {"runtime_params": {"model": {"weights": 'it\'s "λ_c" of 4.pth'}}},
    ],
)
def test_kedro_viz_is_given_what_was_run(tmp_path: Path, given: dict[str, Any]) -> None:
    cli = pytest.importorskip("kedro_viz.launchers.cli.run", reason="the extra `viz` is missing")
    note_run(run_params(tmp_path, **given))
    read = cli.run.make_context("run", noted(tmp_path)).params
    assert read["env"] == given.get("env")
    assert read["params"] == given.get("runtime_params", {})
    assert read["pipeline"] == given.get("pipeline_names", ["__default__"])[0]


def test_of_several_pipelines_all_are_shown(tmp_path: Path) -> None:
    note_run(run_params(tmp_path, pipeline_names=["fgnet_se", "morph_se"]))
    assert noted(tmp_path) == []


def test_parameters_that_no_option_gives_show_no_other_setting(tmp_path: Path) -> None:
    sources = {"pretrain": {"sources": ["utkface", "custom"]}}
    note_run(run_params(tmp_path, runtime_params=sources))
    assert noted(tmp_path) == []


@pytest.mark.parametrize("broken", [b"", b"[", b'"--env=demo"', b"[1]", b"\xff", None])
def test_a_note_that_is_broken_or_missing_is_no_note(tmp_path: Path, broken: bytes | None) -> None:
    if broken is not None:
        (tmp_path / NOTE).parent.mkdir()
        (tmp_path / NOTE).write_bytes(broken)
    assert noted(tmp_path) == []
    note_run(run_params(tmp_path, env="demo"))
    assert noted(tmp_path) == ["--env=demo", "--pipeline=__default__"]


def test_a_run_goes_on_where_nothing_can_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NOTE.parent).write_text("a file")
    note_run(run_params(tmp_path))
    assert noted(tmp_path) == []
    monkeypatch.setattr(tracker, "is_worker", True)
    (other := tmp_path / "other").mkdir()
    note_run(run_params(other))
    assert list(other.iterdir()) == []
