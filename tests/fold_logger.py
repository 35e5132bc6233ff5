"""Six processes that log folds as `kedro run --namespaces=fgnet_lopo.fold_1,...` does, untrained.

`python fold_logger.py PROJECT ADDRESS FOLDS ...`: logs so many folds to each tracking server.
"""

import os
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PROCESSES = 6
EPOCHS = 3


def loss(fold: int, epoch: int) -> float:
    """What a fold is said to have lost in an epoch."""
    return fold + epoch / 10


def error(fold: int) -> float:
    """The error that a fold is said to have."""
    return float(fold)


def log_folds(begin: Any, project: Path, address: str, folds: list[int]) -> None:
    """Wait for the other processes, and take folds through the hooks in the order of a run."""
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession

    from contrastive_age import settings

    os.environ["MLFLOW_TRACKING_URI"] = address
    names = [f"fgnet_lopo.fold_{fold}" for fold in folds]
    tracking: Any = settings.HOOKS[0]
    with KedroSession.create(project_path=project) as session:
        catalog = session.load_context().catalog
        run = {
            "run_params": {"pipeline_names": ["fgnet_lopo"], "namespaces": names},
            "pipeline": pipelines["fgnet_lopo"].filter(node_namespaces=names),
            "catalog": catalog,
        }
        nodes = {node.name: node for node in run["pipeline"].nodes}
        begin.wait()
        tracking.before_pipeline_run(**run)
        for name, fold in zip(names, folds, strict=True):
            node = nodes[f"{name}.train"]
            tracking.before_node_run(node=node)
            history = train(fold)
            tracking.after_node_run()
            for entry, data in (("history", history), ("predictions", predict(fold))):
                catalog.save(f"{name}.{entry}", data)
            for node in nodes.values():
                for output in node.outputs if node.namespace == name else []:
                    tracking.after_dataset_saved(dataset_name=output)
        tracking.after_pipeline_run()


def train(fold: int) -> Any:
    """Log what the node that trains logs, and give the history."""
    import pandas as pd

    from contrastive_age.tracking.tracker import log_epoch

    history = [
        {"epoch": epoch, "total": loss(fold, epoch), "seconds": 1.0}
        for epoch in range(1, EPOCHS + 1)
    ]
    for entry in history:
        log_epoch(int(entry["epoch"]), entry)
    table = pd.DataFrame(history)
    table.attrs["computed"] = {"device": "cpu"}
    return table


def predict(fold: int) -> Any:
    """Give predictions with the fold's error."""
    import pandas as pd

    wrong = error(fold)
    return pd.DataFrame({"age": [40.0, 90.0], "predicted_age": [40 + wrong, 90 - wrong]})


def main() -> None:
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    project = Path(sys.argv[1])
    bootstrap_project(project)
    assert pipelines["fgnet_lopo"]  # built once for all processes
    # Forked before anything is connected: six processes that import nothing again.
    fork = get_context("fork")
    for address, number in zip(sys.argv[2::2], map(int, sys.argv[3::2]), strict=True):
        begin = fork.Barrier(PROCESSES)
        # All log the first fold, and each its share of the others.
        shares = [[0, *range(1 + own, number, PROCESSES)] for own in range(PROCESSES)]
        workers = [
            fork.Process(target=log_folds, args=(begin, project, address, share))
            for share in shares
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
