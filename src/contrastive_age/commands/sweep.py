"""Many settings of a protocol in one process.

What settings share is run once; a run whose result still stands is kept; one that fails does not
stop the others. In MLflow the runs are children of the sweep's run. The seeds of a setting are runs
of their own, and are summed up together.
"""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines as registered
from kedro.io import DatasetError

from contrastive_age.errors import DataError, TrainingError
from contrastive_age.evaluation.comparison import compare, holm
from contrastive_age.evaluation.confidence import mae_interval
from contrastive_age.evaluation.metrics import no_better
from contrastive_age.parameters.effective import preset_of
from contrastive_age.parameters.given import Explanation
from contrastive_age.parameters.setting import Setting
from contrastive_age.parameters.written import SHARED, kedro_run, nested
from contrastive_age.protocols.namespaces import is_fold, namespace_of, parted
from contrastive_age.provenance import Record, table_digest
from contrastive_age.running.faults import explain
from contrastive_age.running.place import Place
from contrastive_age.running.printing import print_line, print_table
from contrastive_age.running.runners import FoldRunner
from contrastive_age.tracking import views
from contrastive_age.tracking.results import Result, log_whole
from contrastive_age.tracking.run_tree import SweepRun, is_whole
from contrastive_age.tracking.tracker import while_reachable

logger = logging.getLogger(__name__)

OWN = ("triplets", "training", "evaluation", "reporting")
SEED = "seed"
"""The axis of `--seeds`, and the parameter that it counts from."""

Axes = Mapping[str, Sequence[Any]]
Status = Literal["finished", "kept", "failed"]


@dataclass(frozen=True)
class Candidate:
    """One setting of a sweep with one seed.

    Attributes:
        given: The run-time parameters that make it.
        point: Its values on the sweep's axes, by dotted name.
        setting: The protocol's effective values under them.
    """

    given: dict[str, Any]
    point: dict[str, Any]
    setting: Setting


@dataclass(frozen=True)
class Sweep:
    """Settings of one protocol with one seed or several, each of them different.

    Attributes:
        protocol: The pipeline's name.
        axes: Values by dotted name.
        candidates: All settings, each with all seeds.
        common: The run-time parameters of all of them, nested.
    """

    protocol: str
    axes: Axes
    candidates: Sequence[Candidate]
    common: Mapping[str, Any]

    @property
    def groups(self) -> list[list[Candidate]]:
        """The seeds of each setting together, in the order of their first."""
        groups: dict[str, list[Candidate]] = {}
        for candidate in self.candidates:
            groups.setdefault(candidate.setting.group, []).append(candidate)
        return list(groups.values())


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate: its metrics, or why it failed."""

    candidate: Candidate
    status: Status
    metrics: dict[str, Any] | None = None
    reason: str = ""


def plan(
    place: Place,
    common: Mapping[str, Any],
    *,
    pipelines: Sequence[str],
    axes: Axes,
    preset: str | None = None,
    seeds: int | None = None,
) -> list[Sweep]:
    """Validate all settings before any is run.

    Args:
        place: The project.
        common: Run-time parameters of all settings, nested.
        pipelines: The protocols; none given, the preset's own.
        axes: Values by dotted name, as in `loss.lambda_c`; they win over the preset's.
        preset: The name of a grid in the parameters.
        seeds: How many seeds each setting has, from the parameter `seed` up; they win over the
            preset's. They change fastest, so that a sweep that is cut short leaves settings with
            all of their seeds, which can be told apart, and not all settings with a few of them.

    Raises:
        DataError: No protocol, no values, seeds given twice, an unknown name, or a value that does
            not fit.
    """
    if seeds is not None and SEED in axes:
        raise DataError(
            f"--seeds={seeds} and --set {SEED}={','.join(map(str, axes[SEED]))} both say which "
            "seeds to run; give one of them"
        )
    if preset is not None:
        known = preset_of(place.parameters(common), preset)
        axes = {**known.set, **axes}
        pipelines = pipelines or known.pipelines
    if seeds is not None:
        first = place.parameters(common)[SEED]
        others = {name: values for name, values in axes.items() if name != SEED}
        axes = {**others, SEED: range(first, first + seeds)}
    if not pipelines or not axes:
        raise DataError(
            "Nothing to sweep: give --pipeline=morph_se --set loss.lambda_c=0,2,4, or a --preset"
        )
    return [
        Sweep(protocol, axes, candidates(place, protocol, common, grid(axes)), common)
        for protocol in pipelines
    ]


def grid(axes: Axes) -> list[dict[str, Any]]:
    """Give every combination of the axes' values, the last axis changing fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def candidates(
    place: Place, protocol: str, common: Mapping[str, Any], points: Sequence[Mapping[str, Any]]
) -> list[Candidate]:
    """Give a candidate for each different setting among some points, in order.

    Args:
        place: The project.
        protocol: A pipeline's name.
        common: Run-time parameters of all settings, nested.
        points: What differs, by dotted name.

    Raises:
        DataError: The protocol is unknown, or a value does not fit.
    """
    different: dict[str, Candidate] = {}
    for point in points:
        given = _nested(common, point)
        protocols = place.parameters(given)["effective"]["protocols"]
        if protocol not in protocols:
            raise DataError(f"{protocol} is no protocol; choose one of {', '.join(protocols)}")
        setting = Setting.model_validate(protocols[protocol])
        different.setdefault(setting.key, Candidate(given, dict(point), setting))
    return list(different.values())


def prepare(place: Place, sweep: Sweep) -> str | None:
    """Make faces and folds, before anything of the sweep is tracked.

    Where settings have different ones, those of the first setting that can have any.

    Returns:
        The `shared` of those settings; None where there are none for any setting. Then it is said
        why, once for all settings that have the same fault.
    """
    faults: dict[str, list[str]] = {}
    groups: dict[str, list[Candidate]] = {}
    for candidate in sweep.candidates:
        groups.setdefault(candidate.setting.shared, []).append(candidate)
    for shared, group in groups.items():
        try:
            _run(place, group[0], tags=SHARED)
        except Exception as error:
            keys = [candidate.setting.key for candidate in group]
            faults.setdefault(_reason(error), []).extend(keys)
        else:
            return shared
    for reason, keys in faults.items():
        which = f" ({', '.join(keys)})" if len(faults) > 1 else ""
        logger.error("The sweep of %s failed%s: %s", sweep.protocol, which, reason)
    return None


def run(place: Place, sweep: Sweep) -> bool:
    """Run the candidates one after the other, and print what became of each setting.

    Returns:
        Whether all succeeded.
    """
    shared = prepare(place, sweep)
    if shared is None:
        return False
    with track(place, sweep) as parent:
        outcomes = run_all(place, sweep, parent, shared)
    print_outcomes(place, sweep, outcomes)
    return not parent.failed


def run_all(place: Place, sweep: Sweep, parent: SweepRun, shared: str) -> list[Outcome]:
    """Run the candidates one after the other; what they share is run when it changes.

    Args:
        place: The project.
        sweep: What to run.
        parent: The sweep's run in MLflow, which takes the runs of kept settings too, and is told
            which fail.
        shared: What `prepare` gave.

    Returns:
        An outcome for each candidate, in order.
    """
    outcomes = []
    for number, candidate in enumerate(sweep.candidates, 1):
        setting = candidate.setting
        of = len(sweep.candidates)
        name = f"{name_of(sweep, candidate)}, seed {setting.seed}"
        logger.info("Run %d of %d: %s (%s)", number, of, name, setting.key)
        try:
            if shared != setting.shared:
                shared = ""  # until they are made
                _run(place, candidate, tags=SHARED)
                shared = setting.shared
            outcomes.append(_run_setting(place, candidate, parent))
        except Exception as error:
            # Whatever one setting runs into, the others may still succeed.
            logger.warning("%s failed; why is said at the end", setting.key)
            outcomes.append(Outcome(candidate, "failed", reason=_reason(error)))
            parent.failed = [*parent.failed, setting.key]
    return outcomes


def _reason(error: Exception) -> str:
    """Say why something failed; a fault that a user cannot mend is logged with its stack trace."""
    if isinstance(error, DataError | TrainingError):
        return str(error)
    said = explain(error)
    if said is None:
        logger.error("What went wrong:", exc_info=error)
    return said or f"{type(error).__name__}: {error}"


def run_folds(place: Place, candidate: Candidate, folds: Sequence[int]) -> None:
    """Run some folds of a setting alone, on its own faces and folds; what is done is kept."""
    protocol = candidate.setting.protocol
    _run(place, candidate, tags=SHARED)
    _run(place, candidate, namespaces=[namespace_of(protocol, fold) for fold in folds])


def track(place: Place, sweep: Sweep) -> SweepRun:
    """Find or make the sweep's run in MLflow."""
    keys = [candidate.setting.key for candidate in sweep.candidates]
    return SweepRun(place.context(sweep.candidates[0].given), sweep.protocol, keys, sweep.axes)


def standing_metrics(context: KedroContext, setting: Setting) -> Any:
    """Give the metrics of a setting whose result still stands.

    It stands when parameters, folds, faces, labels, initial weights and code are those that made
    it, and its predictions are the ones that were measured. Other libraries are said.

    Args:
        context: Of a session with the setting's parameters.
        setting: The protocol's effective values.

    Returns:
        `metrics.json`, or None when the setting has to be run.
    """
    from contrastive_age.evaluation.summary import tables_made_with
    from contrastive_age.parameters.origins import tables_of

    catalog = context.catalog
    try:
        metrics, predictions, folds = (
            catalog.load(f"{setting.protocol}.{name}")
            for name in ("metrics", "predictions", "folds")
        )
        samples, faces = (catalog.load(f"{setting.source}.{name}") for name in ("samples", "faces"))
        explained = context.config_loader["parameters"]["effective"]["explanation"]
        explanation = Explanation.model_validate(explained)
        wanted = tables_of(setting, explanation, samples, faces, folds)
    except (DatasetError, DataError, OSError):
        # A file that is missing or damaged proves nothing.
        return None
    if not isinstance(metrics, dict) or metrics.get("predictions") != table_digest(predictions):
        return None
    record = Record.read(metrics.get("made_from"))
    differences = record.differences(wanted)
    if differences:
        logger.info("%s is run again: %s", setting.key, "; ".join(differences))
        return None
    outputs = registered[setting.protocol].only_nodes_with_tags("reporting").outputs()
    if not all(catalog.exists(name) for name in outputs):
        return None
    for name in ("identity", "gradcam"):
        beside = catalog.load(f"{setting.protocol}.{name}")
        if Record.read(beside.get("made_from")).differences(record.decided_by):
            return None
    record.say_where(f"the result of {setting.key}", tables_made_with())
    return metrics


def predictions_of(place: Place, candidate: Candidate) -> pd.DataFrame:
    """Load what a candidate predicted, a row an image, with a `sample_id` of its own for each.

    A sample may validate several folds, whose networks are different: there the fold is part of
    its name.
    """
    table: pd.DataFrame = load(place, candidate, "predictions")
    if candidate.setting.part == "validation":
        return table.assign(sample_id=table["fold"].astype(str) + "/" + table["sample_id"])
    return table


def load(place: Place, candidate: Candidate, name: str) -> Any:
    """Load a dataset of a candidate's protocol."""
    return place.context(candidate.given).catalog.load(f"{candidate.setting.protocol}.{name}")


def print_outcomes(place: Place, sweep: Sweep, outcomes: Sequence[Outcome]) -> None:
    """Print what became of each setting over its seeds, and why runs failed.

    Args:
        place: The project.
        sweep: What was run.
        outcomes: One for each of its candidates, in their order.
    """
    by_key = {outcome.candidate.setting.key: outcome for outcome in outcomes}
    groups = [[by_key[one.setting.key] for one in group] for group in sweep.groups]
    rows = [[*values_of(sweep, group[0].candidate), *_over_seeds(place, group)] for group in groups]
    columns = ["seeds", "MAE (years)", "SD over seeds", "95% interval", "status"]
    print_table(f"Sweep of {sweep.protocol}", [*columns_of(sweep), *columns], rows)
    named = {name_of(sweep, group[0].candidate): _by_seed(place, group) for group in groups}
    for line in differences({name: seeds for name, seeds in named.items() if seeds}):
        print_line(line)
    if any(sum(outcome.metrics is not None for outcome in group) == 1 for group in groups):
        print_line("One seed: how far the error moves from training to training is not measured")
        if not any(len(group) > 1 for group in groups):
            print_line("--seeds=3 trains each setting three times")
    failed: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            setting = outcome.candidate.setting
            failed.setdefault(outcome.reason, []).append(f"{setting.key} (seed {setting.seed})")
    for reason, names in failed.items():
        print_line(f"{', '.join(names)} failed: {reason}")
    if failed:
        print_line("Run the same command again: what is finished is kept, the rest is tried again")
    poor: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.metrics and (said := no_better(outcome.metrics)):
            poor.setdefault(said, []).append(outcome.candidate.setting.key)
    for said, keys in poor.items():
        print_line(f"{', '.join(keys)}: {said}")
    part = sweep.candidates[0].setting.part
    print_line(f"Measured on the {part} parts; intervals are over people, of each setting alone")
    print_line(f"Settings compared: {kedro_run('paper_report', env=place.env)}")
    print_line(f"Their runs: {views.place(place.project)}")
    print_line("The last of them in Kedro-Viz: make viz")


def differences(predictions: Mapping[str, Mapping[int, pd.DataFrame]]) -> list[str]:
    """Say how settings differ, a line a pair, the later against the earlier, as the report does.

    Args:
        predictions: By setting and seed, as `predictions_of` gives them.

    Returns:
        Such as "λ_c 10 − λ_c 0: −0.31 [−0.81, +0.19], no difference shown". None of more than
        `MOST_PAIRS` pairs, nor of settings that were measured on other images.
    """
    from contrastive_age.reporting.sections.comparisons import MOST_PAIRS, SIGNIFICANT
    from contrastive_age.reporting.wording import BETTER, NO_DIFFERENCE, WORSE, interval, signed

    pairs = [pair[::-1] for pair in itertools.combinations(predictions, 2)]
    if not 0 < len(pairs) <= MOST_PAIRS:
        return []
    try:
        compared = [compare(predictions[one], predictions[other]) for one, other in pairs]
    except DataError:
        return []
    adjusted = iter(holm([each.p for each in compared if each.p is not None]))
    lines = ["Differences of MAE in years, below zero is better; 95% over people and networks:"]
    for (one, other), each in zip(pairs, compared, strict=True):
        verdict = str(each.untold or NO_DIFFERENCE)
        if each.p is not None and next(adjusted) < SIGNIFICANT:
            verdict = BETTER if each.difference < 0 else WORSE
        said = signed(each.difference)
        if each.interval is not None:
            said += f" {interval(each.interval.low, each.interval.high, sign=True)}"
        lines.append(f"  {one} − {other}: {said}, {verdict}")
    return lines


def columns_of(sweep: Sweep) -> list[str]:
    """Name the axes of settings as columns; `setting` first, since each setting has one."""
    return ["setting", *map(_symbol, _axes_of(sweep))]


def values_of(sweep: Sweep, candidate: Candidate) -> list[str]:
    """Give a candidate's cells in these columns."""
    setting = str(candidate.point.get("setting", candidate.setting.setting))
    return [setting, *(str(candidate.point[name]) for name in _axes_of(sweep))]


def name_of(sweep: Sweep, candidate: Candidate) -> str:
    """Name a setting by what is varied, such as "λ_c 10", or "mv" where that is its name."""
    setting, *values = values_of(sweep, candidate)
    words = [setting] if "setting" in sweep.axes or not values else []
    names = map(_symbol, _axes_of(sweep))
    return ", ".join([*words, *(" ".join(each) for each in zip(names, values, strict=True))])


def _axes_of(sweep: Sweep) -> list[str]:
    return [name for name in sweep.axes if name not in {"setting", SEED}]


def _symbol(axis: str) -> str:
    """Such as λ_c, or "image size": a column has no room for a dotted name, nor breaks it well."""
    block, _, last = axis.rpartition(".")
    if block == "loss":
        return last.replace("lambda", "λ")
    return axis.replace(".", " ").replace("_", " ")


def _by_seed(place: Place, group: Sequence[Outcome]) -> dict[int, pd.DataFrame]:
    return {
        outcome.candidate.setting.seed: predictions_of(place, outcome.candidate)
        for outcome in group
        if outcome.metrics is not None
    }


def _over_seeds(place: Place, group: Sequence[Outcome]) -> list[str]:
    """Sum a setting up over those of its seeds that are measured: their number, error, status."""
    measured = [outcome for outcome in group if outcome.metrics is not None]
    maes = [outcome.metrics["mae"] for outcome in group if outcome.metrics is not None]
    failed = len(group) - len(measured)
    seeds = f"{len(measured)} of {len(group)}" if failed and measured else f"{len(group)}"
    if not measured:
        return [seeds, "-", "-", "-", "failed"]
    interval = mae_interval([predictions_of(place, outcome.candidate) for outcome in measured])
    kept = sum(outcome.status == "kept" for outcome in measured)
    trained = len(measured) - kept
    done = f"{kept} kept, {trained} finished" if kept and trained else measured[0].status
    return [
        seeds,
        f"{fmean(maes):.2f}",
        f"{stdev(maes):.2f}" if len(maes) > 1 else "-",
        "-" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}",
        f"{failed} failed" if failed else done,
    ]


def _nested(common: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Write a point's dotted names into the parameters that all settings have."""
    for name in point:
        if name.startswith("protocols"):
            raise DataError(
                f"{name} changes the pipeline itself, which is built once for a sweep; set it in "
                "conf/local/parameters.yml or give it by --params"
            )
    return nested(common, point)


def _run_setting(place: Place, candidate: Candidate, parent: SweepRun) -> Outcome:
    setting = candidate.setting
    metrics = standing_metrics(place.context(candidate.given), setting)
    if metrics is not None:
        logger.info("%s stands as it is", setting.key)
        parent.adopt(setting)
        _log_kept(place.context(candidate.given), setting)
        return Outcome(candidate, "kept", metrics)
    _run(place, candidate, tags=OWN)
    metrics = standing_metrics(place.context(candidate.given), setting)
    if metrics is None:
        raise DataError(f"{setting.key}: its files were changed while it ran; run the sweep again")
    return Outcome(candidate, "finished", metrics)


@while_reachable
def _log_kept(context: KedroContext, setting: Setting) -> None:
    """Bring to MLflow what it lacks of a setting that stands, such as a run that was deleted."""
    pipeline = registered[setting.protocol]
    folds = {node.namespace for node in pipeline.nodes if is_fold(node.namespace)}
    if not is_whole(setting.key, len(folds)):
        result = Result.of(context.catalog, setting, context.config_loader)
        log_whole(result, pipeline.datasets(), sorted(parted(fold)[1] for fold in folds))


def _run(place: Place, candidate: Candidate, **chosen: Sequence[str]) -> None:
    with place.session(candidate.given) as session:
        session.run(pipeline_names=[candidate.setting.protocol], runner=FoldRunner(), **chosen)
