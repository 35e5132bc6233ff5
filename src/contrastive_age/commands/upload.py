"""Bringing to MLflow what was measured while its server could not be reached.

What a run leaves in files is laid beside what the server has, and only the difference is logged:
the tree is the one of a run that was tracked, and a second upload changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines

from contrastive_age.errors import DataError
from contrastive_age.io.files import path_of
from contrastive_age.parameters.loader import settings_of
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.namespaces import namespace_of
from contrastive_age.reporting.results import read_theirs
from contrastive_age.running.place import Place
from contrastive_age.tracking import run_tree
from contrastive_age.tracking.results import Logged, Result, log_theirs, log_whole
from contrastive_age.tracking.tracker import FAILURES, tracker, without_password


def upload(place: Place, given: Mapping[str, Any], protocols: Sequence[str] = ()) -> list[Logged]:
    """Log every result below the data folder that the tracking server does not have.

    Args:
        place: The project.
        given: Run-time parameters.
        protocols: Which; none given, all.

    Returns:
        What the server has now, by setting.

    Raises:
        DataError: The server fails, or a protocol is unknown.
    """
    context = place.context(given)
    if tracker.lost is not None:
        raise DataError(
            f"Nothing was uploaded: {tracker.lost}. Start the server or set MLFLOW_TRACKING_URI, "
            "and run this command again"
        )
    parameters = context.config_loader["parameters"]
    known = {n: each for n, each in settings_of(parameters).items() if isinstance(each, Setting)}
    for protocol in protocols:
        if protocol not in known:
            raise DataError(f"{protocol} is no protocol; choose one of {', '.join(known)}")
    catalog = context.catalog  # a context makes it anew whenever it is asked
    try:
        logged = [
            _upload(context, result, folds)
            for current in (known[protocol] for protocol in protocols or known)
            for result, folds in _results(Result.of(catalog, current, context.config_loader))
        ]
        brought = read_theirs(catalog.load("report.data_folder"), drawn=())
        of_these = [theirs for theirs in brought if theirs.protocol in (protocols or known)]
        return logged + [log_theirs(context, theirs) for theirs in of_these]
    except FAILURES as error:
        raise DataError(
            f"The upload stopped: {without_password(str(error))}. Run this command again; what the "
            "server has by now is kept"
        ) from error


def _results(at_hand: Result) -> Iterator[tuple[Result, list[str]]]:
    """The settings of a protocol that have left anything, with the names of their trained folds.

    Args:
        at_hand: The files of one of them, which may be missing.
    """
    protocol = at_hand.current.protocol
    report, history = (
        path_of(at_hand.catalog, f"{owner}.{entry}")
        for owner, entry in ((protocol, "metrics"), (namespace_of(protocol, 0), "history"))
    )
    folds: dict[str, list[str]] = {
        path.parent.name: [] for path in report.parents[1].glob(f"*/{report.name}")
    }
    for path in sorted(history.parents[2].glob(f"*/fold_*/{history.name}")):
        folds.setdefault(path.parts[-3], []).append(path.parts[-2])
    for key, names in sorted(folds.items()):
        yield replace(at_hand, key=key), names


def _upload(context: KedroContext, result: Result, folds: Sequence[str]) -> Logged:
    protocol = result.current.protocol
    run_tree.enter_experiment(context, protocol)
    return log_whole(result, pipelines[protocol].datasets(), folds)
