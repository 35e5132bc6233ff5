"""A fold has a run of its own from the first node on whose work is tracked."""

from types import SimpleNamespace
from typing import Any

import pytest
from kedro.pipeline import Node

from contrastive_age.tracking import hook, run_tree
from contrastive_age.tracking.hook import Tracking
from contrastive_age.tracking.tracker import active_run_id, tracker


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is said to the server, by a hook that is at the run of a setting."""
    said: list[Any] = []

    def made(parent: str, fold: str) -> str:
        said.append(("made", parent, fold))
        return fold

    client = SimpleNamespace(
        set_terminated=lambda run_id, status: said.append((status, run_id)),
        set_tag=lambda run_id, tag, value: said.append((tag, run_id, value)),
    )
    monkeypatch.setattr(run_tree, "fold_run", made)
    monkeypatch.setattr(run_tree, "begin", lambda run_id: said.append(("begun", run_id)))
    monkeypatch.setattr(hook, "MlflowClient", lambda: client)
    for name, value in {"setting_id": "s", "fold_id": None, "lost": None}.items():
        monkeypatch.setattr(tracker, name, value)
    return said


def _node(tag: str, namespace: str | None = "p.fold_0") -> Node:
    return Node(len, "a", "b", name=tag, tags=[tag], namespace=namespace)


def _tracking() -> Tracking:
    tracking: Any = Tracking()
    tracking._result, tracking._folds, tracking._names = SimpleNamespace(), {}, []
    return tracking


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The settings whose results were logged from their files."""
    run_ids: list[str] = []
    monkeypatch.setattr(hook, "log_result", lambda _, run_id, __: run_ids.append(run_id))
    return run_ids


def test_a_fold_that_is_only_indexed_has_no_run(events: list[Any]) -> None:
    tracking = _tracking()
    for node in (_node("triplets"), _node("evaluation", namespace=None)):
        tracking.before_node_run(node=node)
        assert active_run_id() == "s"
        tracking.after_node_run()
    assert events == []


def test_nodes_of_a_fold_are_at_one_run_that_is_made_once(events: list[Any]) -> None:
    tracking = _tracking()
    for tag in ("training", "evaluation"):
        tracking.before_node_run(node=_node(tag))
        assert active_run_id() == "fold_0"
        tracking.after_node_run()
    step = [("begun", "fold_0"), ("FINISHED", "fold_0")]
    assert events == [("made", "s", "fold_0"), *step, *step]


@pytest.mark.parametrize("tag", ["triplets", "training"])
def test_an_error_in_any_node_of_a_fold_is_in_its_run(events: list[Any], tag: str) -> None:
    tracking = _tracking()
    tracking.before_node_run(node=_node(tag))
    tracking.on_node_error(error=ValueError("no"), node=_node(tag))
    tracking.on_pipeline_error()
    assert events[-3:] == [("error", "fold_0", "no"), ("FAILED", "fold_0"), ("FAILED", "s")]
    assert active_run_id() is None


def test_what_is_measured_is_logged_whether_or_not_a_later_node_fails(
    events: list[Any], logged: list[str]
) -> None:
    _tracking().on_pipeline_error()
    assert logged == ["s"]
    assert events == [("FAILED", "s")]


def test_a_worker_leaves_the_run_of_the_setting_to_its_employer(
    events: list[Any], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "is_worker", True)
    _tracking().on_pipeline_error()
    assert events == logged == []
    assert active_run_id() == "s"
