"""What was measured, brought together: seeds of one setting, settings of one budget, paper's cells.

A setting is what it computes and not what it is called: `binary` with a cosine weight of 0 is `mv`.
"""

import json
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.evaluation.confidence import mae_interval
from contrastive_age.files import fingerprint
from contrastive_age.model.architecture import LINEAR
from contrastive_age.model.losses import defaults
from contrastive_age.provenance import Record
from contrastive_age.reporting.papers import (
    NETWORK,
    PROTOCOLS,
    SETTINGS,
    Papers,
    acting_losses,
    deciding_values,
    default_of,
    describe_start,
    given_values,
    in_words,
    is_papers_network,
    mark,
)
from contrastive_age.reporting.results import Measured, Theirs
from contrastive_age.training.recipe import Acceleration

MEASURED = (
    "status",
    "setting",
    "losses",
    "mark",
    "mae",
    "mae_low",
    "mae_high",
    "seeds",
    "seed_sd",
    "start",
    "pretraining",
    "budget",
    "images",
    "subjects",
    "folds",
    "drawn_faces",
    "manifest_hash",
    "inputs",
    "runs",
    "command",
)
"""What is said of each of our cells: years of MAE with its 95% interval, and where it comes from.

`pretraining` says which other faces the network was trained on before (their source, images, epochs
and pixels), and is empty for any other start. `inputs` names folds, aligned faces and initial
weights (equal names, equal inputs). `status` is "measured", "not run" (then `command` would run it)
or empty where there is nothing to run, as for other people's methods. `mark` holds keys of
`papers.MARKS`, by semicolons, or nothing. `runs` are setting keys with MLflow's run ids.
"""

FAMILY = (
    "protocol",
    "budget",
    "start",
    "pretraining",
    "images",
    "subjects",
    "folds",
    "drawn_faces",
    "manifest_hash",
    "inputs",
)
"""What settings have in common that can be compared: they differ in their losses alone."""

SETTING = (*FAMILY, "setting", "losses", "mark", "seeds")
"""What tables of all settings say first."""

_OWN_PHOTOS = {"raw_root": "FOLDER", "manifest": "FILE.csv"}
"""What stands in a command for paths that differ from machine to machine."""

_LEFT: Mapping[str, Any] = {"detection.min_face": None, **NETWORK} | {
    f"acceleration.{name}": value for name, value in asdict(Acceleration()).items()
}
"""Values that a setting does not have where they are not given."""

Records = Callable[[Measured], Sequence[Mapping[str, Any]] | None]
"""Gives what a run says, as rows of a table; nothing where it does not say it."""

Combine = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, eq=False)
class Group:
    """The seeds of one setting, on the same data with the same budget.

    Attributes:
        runs: At least one, one a seed, in their order.
        repeats: Runs of the same seed under another name, or whose test part was not watched. They
            computed the same, so they do not count.
        columns: What tables say of it: `protocol` and the columns of `MEASURED`. `mae` is the mean
            of the seeds' MAEs in years, with its 95% interval over subjects, None for fewer than
            four; `seed_sd` their standard deviation, None for one seed. `setting` holds the names
            that it was run under, `losses` what Table 6 calls it, with the weights that this name
            leaves open. Of `start` and `budget` see `papers.describe_start` and
            `papers.Papers.describe`.
        usual: Whether the budget is the paper's.
    """

    runs: tuple[Measured, ...]
    repeats: tuple[Measured, ...]
    columns: dict[str, Any]
    usual: bool

    @property
    def first(self) -> Measured:
        """The run with the smallest seed, for all that seeds share."""
        return self.runs[0]

    @property
    def anchor(self) -> str:
        """Names its place on the page."""
        return f"{self.first.protocol}-{self.first.key}"

    @property
    def label(self) -> str:
        """Its name and its losses, such as "ternary, MV + Cosine + Triplet (λ_c 10, λ_t 1)"."""
        return f"{self.columns['setting']}, {self.columns['losses']}"

    @property
    def losses(self) -> dict[str, float]:
        """The weights of the losses that act, see `papers.acting_losses`."""
        return acting_losses(self.first.parameters["loss"])

    @property
    def predictions(self) -> list[pd.DataFrame]:
        """Those of each seed."""
        return [run.predictions for run in self.runs]

    @property
    def labels(self) -> pd.DataFrame | None:
        """What is known of the people; None where it is not known of all seeds to be the same."""
        return None if any(run.labels is None for run in self.runs) else self.first.labels

    def with_columns(
        self, rows: Iterable[Mapping[str, Any]], seeds: Iterable[int] | None = None
    ) -> list[dict[str, Any]]:
        """Put the group's columns before rows, and its `SETTING` in place of theirs.

        Args:
            rows: Of all seeds together.
            seeds: Those that rows are of, where not all.
        """
        known = [run.seed for run in self.runs] if seeds is None else seeds
        shared = self.columns | {"seeds": ", ".join(map(str, known))}
        # A row's own number of subjects is not the setting's.
        setting = {name: shared[name] for name in SETTING}
        return [shared | dict(row) | setting for row in rows]

    def over_seeds(self, records: Records, **combine: Combine) -> list[dict[str, Any]]:
        """Rows of those seeds that have them, combined.

        Args:
            records: Gives a run's rows; seeds have as many, in the same order.
            combine: Makes one value of the seeds', by the name of a column. All others are alike.

        Returns:
            The group's columns, of which `seeds` are those that have rows, with the rows' in place
            of them but for `SETTING`.
        """
        known = {run.seed: rows for run in self.runs if (rows := records(run))}
        combined = (
            dict(parts[0])
            | {name: value([part[name] for part in parts]) for name, value in combine.items()}
            for parts in zip(*known.values(), strict=True)
        )
        return self.with_columns(combined, known)


def group_seeds(measured: Iterable[Measured], papers: Papers) -> list[Group]:
    """Bring the seeds of each setting together.

    Runs belong together when everything that decides their result is equal but the seed: data
    (manifest, folds, aligned faces, initial weights), protocol, budget and the weights of the
    losses that act. Names do not count, nor whether the test part was watched, nor the margin where
    nothing is weighed by it. Of weights that were pre-trained on faces their digest counts, and not
    where their file lies.

    Args:
        measured: Finished runs, in any order.
        papers: What the paper set, by which losses and budgets are named.

    Returns:
        Groups by protocol (in the order of `PROTOCOLS`, others behind), photos before drawn faces,
        those pre-trained on faces last, the paper's budget first, and then by the weights of the
        losses.

    Raises:
        DataError: Seeds of one setting hold other samples.
    """
    runs_of: dict[str, list[Measured]] = {}
    for run in sorted(measured, key=_first_of_a_seed):
        setting = [_family_key(run), acting_losses(run.parameters["loss"])]
        runs_of.setdefault(json.dumps(setting, sort_keys=True), []).append(run)
    return sorted((_group(runs, papers) for runs in runs_of.values()), key=_order)


def families(groups: Iterable[Group]) -> list[list[Group]]:
    """Bring the settings together that differ in their losses alone, so that they can be compared.

    Args:
        groups: As `group_seeds` gives them.

    Returns:
        Lists of groups with the same protocol, data and budget, in the order of their first.
    """
    # Where they stand in their order, those of a family stand together.
    return [list(some) for _, some in groupby(groups, lambda group: _family_key(group.first))]


def find(groups: Iterable[Group], protocol: str, losses: Mapping[str, float]) -> list[Group]:
    """Find what was measured for a cell of the paper's tables, with whatever budget.

    Args:
        groups: As `group_seeds` gives them.
        protocol: Such as `morph_se`.
        losses: As `Papers.losses` gives them. A loss that does not act there must not act in what
            is looked for, whether its weight is 0 or it is not named.

    Returns:
        Groups in their order.
    """
    wanted = acting_losses(losses)
    return [
        group for group in groups if group.first.protocol == protocol and group.losses == wanted
    ]


def data_of(run: Measured, *, faces: bool = True) -> list[Any]:
    """What names the data of a run: those of runs that can be held against each other are equal.

    Args:
        run: The run.
        faces: Whether the aligned faces count, which follow from parameters, too. Where they do
            not, folds are told by who is tested in which: their name holds the faces' copies.
    """
    known = [run.protocol, run.demo, run.metrics["manifest_hash"]]
    known += [inputs_of(run)] if faces else [run.folds, _decided_by(run).get("weights")]
    # Not the path: seeds may have started from copies of one file.
    return known + ([] if run.pretraining is None else [run.pretraining["weights"]])


def values_of(run: Measured) -> dict[str, Any]:
    """All values that decide a result but losses and seed, by dotted name."""
    values = deciding_values(run.parameters)
    return values if run.pretraining is None else values | {"model.weights": None}


def inputs_of(run: Measured) -> str:
    """Name the folds, faces and initial weights of a run in eight digits; empty where unknown."""
    decided_by = _decided_by(run)
    known = {name: decided_by.get(name) for name in ("folds", "faces", "weights")}
    return fingerprint(known)[:8] if any(known.values()) else ""


def _decided_by(run: Measured) -> Mapping[str, Any]:
    made_from = run.metrics.get("made_from") or {}
    # Documents of earlier versions name folds, faces and weights alone.
    return Record.read(made_from).decided_by or made_from


def mean(values: Sequence[Any]) -> float | None:
    """The mean over seeds, or None where a seed has no value."""
    return None if None in values else fmean(values)


def of_known(pick: Combine, values: Sequence[float | None]) -> float | None:
    """One value of those seeds that have any, such as their smallest."""
    known = [value for value in values if value is not None]
    return float(pick(known)) if known else None


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured and what the paper set.

    Attributes:
        groups: As `group_seeds` gives them.
        papers: What the paper set.
        audits: By source (`morph2`, `fgnet`, ...) its `audit.json`.
        selections: What was chosen on validation parts, each a `selection.json`.
        drawn: Sources whose faces are drawn.
        theirs: Predictions that were brought, which are held against our settings.
        environment: Of the project's configuration, in which the commands of what was not run would
            run it.
        usual: By protocol and named setting all values of the configuration here, which commands
            need not say; the paper's where none are given.
    """

    groups: Sequence[Group]
    papers: Papers
    audits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    selections: Sequence[Mapping[str, Any]] = ()
    drawn: Collection[str] = ()
    theirs: Sequence[Theirs] = ()
    environment: str = "base"
    usual: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def of_papers_network(self) -> list[Group]:
        """The groups whose networks are the paper's: others stand in none of its tables."""
        return [group for group in self.groups if is_papers_network(group.first.parameters)]

    @property
    def without_faces(self) -> list[Group]:
        """Those of the paper's network that were not pre-trained on faces."""
        return [group for group in self.of_papers_network if group.first.pretraining is None]

    def table(self, columns: Sequence[str], records: Records, **combine: Combine) -> pd.DataFrame:
        """A table of all settings, with the columns `SETTING` and these; see `Group.over_seeds`."""
        return self.table_of(columns, lambda group: group.over_seeds(records, **combine))

    def table_of(
        self, columns: Sequence[str], rows: Callable[[Group], Iterable[Mapping[str, Any]]]
    ) -> pd.DataFrame:
        """A table of all settings, with the columns `SETTING` and these, from each one's rows."""
        listed = [row for group in self.groups for row in rows(group)]
        return pd.DataFrame(listed, columns=[*SETTING, *columns])

    def find(self, groups: Iterable[Group], protocol: str, name: str) -> list[Group]:
        """Find a combination of losses, weighed as the paper does, among groups.

        Args:
            groups: Some of `groups`.
            protocol: Such as `morph_se`.
            name: A key of `SETTINGS`.
        """
        return find(groups, protocol, self.papers.losses(name, protocol))

    def not_run(
        self,
        protocol: str,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        seeds: int = 1,
    ) -> dict[str, Any]:
        """The columns of a combination of losses that was not measured, with its command.

        Args:
            protocol: Such as `morph_se`.
            name: A key of `SETTINGS`.
            parameters: All values of another run whose budget is wanted; the environment's own
                budget is meant where none are given, from the paper's start.
            seeds: How many the command trains; several are a sweep. Where the other run's photos
                are listed in a manifest that is not the configuration's, the reader puts in its
                path and theirs.
        """
        papers = self.papers.values(name, protocol)
        usual = self.usual.get(protocol, {}).get(SETTINGS[name], papers)
        losses, others = papers["loss"], given_values(usual)
        given: dict[str, Any] = {"setting": SETTINGS[name]}
        given |= {
            f"loss.{term}": f"{losses.get(term, 0.0):g}"
            for term, value in usual["loss"].items()
            if (term in losses or term.startswith("lambda_")) and value != losses.get(term, 0.0)
        }
        wanted: dict[str, Any] = {}
        if parameters is not None:
            wanted = {path: _LEFT[path] for path in others if path in _LEFT}
            wanted |= given_values(parameters)
        elif self.environment == "base":
            # The start is part of the paper's cell, but not in environments of drawn faces.
            wanted = {name: value for name, value in NETWORK.items() if name in others}
            wanted |= {"model.weights": papers["model"]["weights"]}
        given |= {
            path: "null" if value is None else value
            for path, value in wanted.items()
            if value != others.get(path)
        }
        # Only its digest is known.
        if parameters and parameters.get("manifest") not in {None, usual.get("manifest")}:
            given |= _OWN_PHOTOS
        listed = shlex.quote(",".join(f"{path}={value}" for path, value in given.items()))
        verb, more = ("sweep", f" --seeds={seeds}") if seeds > 1 else ("run", "")
        call = self.command(verb, f"--pipeline={protocol} --params={listed}{more}")
        told = {"status": "not run", "setting": SETTINGS[name], "losses": name}
        return {"protocol": protocol, **told, "command": call}

    def command(self, name: str, options: str) -> str:
        """A command of the project in the environment of this report."""
        chosen = "" if self.environment == "base" else f" --env={self.environment}"
        return f"kedro {name}{chosen} {options}"


def whole_numbers(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Keep those of the columns that a table has whole where some of their values are missing."""
    return table.astype({name: "Int64" for name in columns if name in table})


def _group(runs: Sequence[Measured], papers: Papers) -> Group:
    # Of the runs of a seed the first counts.
    chosen = {run.seed: run for run in reversed(runs)}
    kept = tuple(reversed(chosen.values()))
    first, metrics, parameters = kept[0], kept[0].metrics, kept[0].parameters
    maes = [run.metrics["mae"] for run in kept]
    interval = mae_interval([run.predictions for run in kept])
    columns = {
        "protocol": first.protocol,
        "status": "measured",
        "setting": ", ".join(dict.fromkeys(run.setting for run in (*kept, *runs))),
        "losses": papers.name(parameters["loss"]),
        "mark": mark(parameters["loss"], parameters["model"].get("head", LINEAR)),
        "mae": float(np.mean(maes)),
        "mae_low": interval.low if interval else None,
        "mae_high": interval.high if interval else None,
        "seeds": ", ".join(str(run.seed) for run in kept),
        "seed_sd": float(np.std(maes, ddof=1)) if len(maes) > 1 else None,
        "start": describe_start(parameters["model"]["weights"], first.pretraining),
        "pretraining": in_words(first.pretraining) if first.pretraining else "",
        "budget": papers.describe(parameters, first.pretraining),
        "images": metrics["n"],
        "subjects": metrics["subjects"],
        "folds": metrics["folds"],
        "drawn_faces": first.demo,
        "manifest_hash": metrics["manifest_hash"],
        "inputs": inputs_of(first),
        "runs": "; ".join(
            f"{run.key} (MLflow {run.run_id})" if run.run_id else run.key for run in kept
        ),
        "command": "",
    }
    repeats = tuple(run for run in runs if run is not chosen[run.seed])
    return Group(kept, repeats, columns, usual=not papers.unlike(parameters))


def _first_of_a_seed(run: Measured) -> tuple[Any, ...]:
    """What sorts runs by their seeds, and of one seed those first whose test part was watched."""
    return run.seed, run.metrics.get("picked_on_test") is None, run.setting, run.key


def _family_key(run: Measured) -> str:
    """Everything that decides a result but losses and seed."""
    return json.dumps([data_of(run), values_of(run)], sort_keys=True, default=str)


def _order(group: Group) -> tuple[Any, ...]:
    known = [*PROTOCOLS, group.first.protocol]
    terms = ("lambda_m", "lambda_v", "lambda_t", "lambda_k", "lambda_k_printed", "lambda_c")
    further = [name for name in reversed(defaults()) if name not in terms]
    return (
        known.index(group.first.protocol),
        group.first.protocol,
        group.first.demo,
        group.first.pretraining is not None,
        not group.usual,
        _family_key(group.first),
        *(group.losses.get(name, default_of(name)) for name in (*terms, "margin", *further)),
    )
