"""A fold has a run of its own from the first node on whose work is tracked."""

from types import SimpleNamespace
from typing import Any

import pytest
from kedro.pipeline import Node, Pipeline

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
    )
    monkeypatch.setattr(run_tree, "fold_run", made)
    monkeypatch.setattr(run_tree, "begin", lambda run_id: said.append(("begun", run_id)))
    monkeypatch.setattr(run_tree, "losses_of", lambda _: {})
    monkeypatch.setattr(run_tree, "fail", lambda run_id, error: said.append((str(error), run_id)))
    monkeypatch.setattr(run_tree, "close_folds", lambda *_: said.append("others closed"))
    monkeypatch.setattr(run_tree, "enter_experiment", lambda *_: None)
    monkeypatch.setattr(run_tree, "setting_run", lambda *_: "s")
    monkeypatch.setattr(hook, "log_values", lambda *_: None)
    monkeypatch.setattr(run_tree, "close_abandoned", lambda: None)
    monkeypatch.setattr(hook, "MlflowClient", lambda: client)
    for name, value in {"setting_id": "s", "fold_id": None, "lost": None}.items():
        monkeypatch.setattr(tracker, name, value)
    return said


def _node(tag: str, namespace: str | None = "p.fold_0") -> Node:
    return Node(len, "a", f"{namespace}.{tag}", name=tag, tags=[tag], namespace=namespace)


def _tracking(*nodes: Node, begun: bool = True, ahead: str = "") -> Tracking:
    """A hook in a run of these nodes that is of one setting."""
    tracking: Any = Tracking()
    current = SimpleNamespace(protocol="p", key="k")
    tracking._result = SimpleNamespace(kind=lambda _: None, current=current)
    tracking._context = None
    tracking._folds, tracking._names, tracking._unsaved, tracking._node = {}, [], {}, None
    tracking._ahead, tracking._tags = {ahead} if ahead else set(), None if begun else {}
    for node in nodes:
        tracking._unsaved.setdefault(node.namespace, set()).update(node.outputs)
    return tracking


def _run(tracking: Tracking, node: Node) -> None:
    tracking.before_dataset_loaded(node=node)
    tracking.before_node_run(node=node)
    tracking.after_node_run()
    for output in node.outputs:
        tracking.after_dataset_saved(dataset_name=output)


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The settings whose results were logged from their files."""
    run_ids: list[str] = []
    monkeypatch.setattr(hook, "log_result", lambda _, run_id, __: run_ids.append(run_id))
    return run_ids


def test_a_fold_that_is_only_indexed_has_no_run(events: list[Any]) -> None:
    index, collect = _node("triplets"), _node("evaluation", namespace=None)
    tracking = _tracking(index)
    for node in (index, collect):
        tracking.before_node_run(node=node)
        assert active_run_id() == "s"
        tracking.after_node_run()
        tracking.after_dataset_saved(dataset_name=node.outputs[0])
    assert events == []


def test_curves_and_error_of_a_fold_are_logged_at_once_or_when_it_fails(
    events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "log_fold", lambda *given: events.append(("logged", *given[2:])))
    train, evaluate = _node("training"), _node("evaluation")
    for failing, expected in ((None, ("FINISHED", "fold_0")), (evaluate, ("no", "fold_0"))):
        events.clear()
        tracking = _tracking(train, evaluate)
        tracking._names = [*train.outputs, *evaluate.outputs]
        tracking._result = SimpleNamespace(kind=lambda _: "fold", current=None)
        _run(tracking, train)
        assert ("logged", "fold_0", "fold_0") not in events
        if failing is None:
            _run(tracking, evaluate)
        else:
            tracking.before_dataset_loaded(node=failing)
            tracking.on_pipeline_error(error=ValueError("no"))
        assert events[2:4] == [("logged", "fold_0", "fold_0"), expected]


def test_all_that_is_trained_is_logged_when_a_fold_fails(
    events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "log_fold", lambda *given: events.append(("logged", *given[2:])))
    trainings = [_node("training", f"p.fold_{fold}") for fold in range(3)]
    tracking = _tracking(*trainings, *(_node("evaluation", f"p.fold_{fold}") for fold in range(3)))
    tracking._names = [name for names in tracking._unsaved.values() for name in names]
    tracking._result = SimpleNamespace(kind=lambda _: "fold", current=None)
    for train in trainings[:2]:
        _run(tracking, train)
    tracking.before_dataset_loaded(node=trainings[2])
    tracking.on_pipeline_error(error=ValueError("no"))
    assert [event[2] for event in events if event[0] == "logged"] == ["fold_0", "fold_1"]
    assert ("no", "fold_2") in events


def test_nodes_of_a_fold_are_at_one_run_that_ends_when_all_is_saved(events: list[Any]) -> None:
    train, evaluate = _node("training"), _node("evaluation")
    tracking = _tracking(train, evaluate)
    for node in (train, evaluate):
        tracking.before_node_run(node=node)
        assert active_run_id() == "fold_0"
        tracking.after_node_run()
        assert active_run_id() == "s"
        assert events == [("made", "s", "fold_0"), ("begun", "fold_0")]
        tracking.after_dataset_saved(dataset_name=node.outputs[0])
    assert events[2:] == [("FINISHED", "fold_0")]


@pytest.mark.parametrize("tag", ["triplets", "training"])
@pytest.mark.parametrize("moment", ["loading", "running", "saving"])
def test_whatever_fails_in_a_fold_is_in_its_run(events: list[Any], tag: str, moment: str) -> None:
    node = _node(tag)
    tracking = _tracking(node, _node("evaluation"))
    tracking.before_dataset_loaded(node=node)
    if moment != "loading":
        tracking.before_node_run(node=node)
    if moment == "saving":
        tracking.after_node_run()
    tracking.on_pipeline_error(error=ValueError("no"))
    assert events[-3:] == [("no", "fold_0"), "others closed", ("FAILED", "s")]
    assert events.count("FINISHED") == 0
    assert active_run_id() is None


def test_a_fold_is_not_to_blame_for_what_comes_after_it(events: list[Any]) -> None:
    train = _node("training")
    tracking = _tracking(train)
    _run(tracking, train)
    tracking.on_pipeline_error(error=ValueError("no"))
    assert events[2:] == [("FINISHED", "fold_0"), "others closed", ("FAILED", "s")]


def test_what_is_measured_is_logged_whether_or_not_a_later_node_fails(
    events: list[Any], logged: list[str]
) -> None:
    _tracking().on_pipeline_error(error=ValueError("no"))
    assert logged == ["s"]
    assert events == ["others closed", ("FAILED", "s")]


def test_nothing_is_tracked_until_work_on_it_begins(events: list[Any], logged: list[str]) -> None:
    tracker.setting_id = None
    tracking = _tracking(begun=False, ahead="source.samples")
    tracking.before_node_run(node=_node("ingestion", namespace=None))
    tracking.on_pipeline_error(error=ValueError("no"))
    assert events == logged == []
    assert active_run_id() is None
    tracking = _tracking(begun=False, ahead="source.samples")
    tracking.after_dataset_saved(dataset_name="source.samples")
    assert events == [("begun", "s")]
    tracking.on_pipeline_error(error=ValueError("no"))
    assert events[-1] == ("FAILED", "s")


def test_a_worker_leaves_the_run_of_the_setting_to_its_employer(
    events: list[Any], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "is_worker", True)
    _tracking().on_pipeline_error(error=ValueError("no"))
    assert events == logged == []
    assert active_run_id() == "s"


def test_what_ismade_ahead_depends_on_nothing_that_is_tracked_and_lies_in_no_fold() -> None:
    def step(*_: Any) -> None: ...

    pipeline = Pipeline(
        [
            Node(step, None, "samples", name="ingest"),
            Node(step, "samples", "folds", name="split"),
            Node(step, "folds", "index", name="index", namespace="p.fold_0"),
            Node(step, "index", "model", name="train", namespace="p.fold_0"),
            Node(step, "model", "page", name="report"),
        ]
    )
    assert hook.made_ahead(pipeline, ["p.fold_0.train"]) == {"samples", "folds"}
