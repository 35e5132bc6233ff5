"""What other recipes and choices of the epoch make of a result, one step after the other.

The steps lead from a setting of ours to what a public implementation of the mean-variance loss
does, whose network, rate, batch and λ are the paper's. Each is a parameter that is off by default.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from contrastive_age.evaluation.comparison import compare
from contrastive_age.reporting.groups import (
    FAMILY,
    SETTING,
    Evidence,
    Group,
    data_of,
    of_known,
    rows_of,
    values_of,
    whole_numbers,
)
from contrastive_age.reporting.papers import SETTINGS, WATCHED
from contrastive_age.reporting.sections.comparisons import adjust, by_seed, row_of
from contrastive_age.reporting.sections.section import (
    DIFFERENCE,
    MAE,
    SEEDS,
    Column,
    Contents,
    Grid,
    Missing,
    Part,
    Section,
    heading,
    meanings,
)


@dataclass(frozen=True)
class Step:
    """A change of the recipe: what it is called, its parameter, and the value that is not ours.

    And of another parameter what it takes to be this step.
    """

    words: str
    path: str
    value: Any
    given: tuple[str, Any] | None = None

    def in_values(self, values: Mapping[str, Any]) -> bool:
        """Whether a setting of these values takes it."""
        needed = [(self.path, self.value), *([self.given] if self.given else [])]
        return all(values.get(path) == value for path, value in needed)


_HELD_OUT, _KEPT = "training.validated_on", ("training.keep", "best")

STEPS = (
    Step("dropout head", "model.head", "dropout"),
    Step("stepped rate", "training.schedule", "step"),
    Step("ages rounded", "testing.rounded", True),
    Step("images held out", _HELD_OUT, "images"),
    Step("best epoch on these kept", *_KEPT, given=(_HELD_OUT, "images")),
    Step("people held out", _HELD_OUT, "people"),
    Step("best epoch on them kept", *_KEPT, given=(_HELD_OUT, "people")),
)
"""In the order in which they are taken."""

TO_THEIRS = 5
"""So many lead to what the implementation does; it then picks the best epoch on the test part.

The others choose the epoch by people whom the network has not seen, in place of its last two.
"""

PLAIN = "plain"

_SEEDS = 2
"""So many tell how much networks differ, without which there is no verdict in few folds."""

COLUMNS = (
    Column("Steps", "{{ steps }}{{ small(setting ~ ', ' ~ losses, mark) }}", number=False),
    Column("MAE", MAE, "years; 95%, subjects"),
    Column(
        "Against",
        "{{ reference_steps or '–' }}{{ small(steps_between ~ ' steps between' "
        "if steps_between is known and steps_between > 1 else '') }}",
        number=False,
    ),
    DIFFERENCE,
    Column(
        "Verdict",
        "{{ coloured(verdict, verdict) if verdict else '–' }}"
        "{{ small(after('p', p_holm | probability), could_have_seen(detectable)) }}",
        "p after Holm",
        number=False,
    ),
    Column(
        "Picked on test",
        "{{ picked | number }}{{ small(claimed | signed if picked is known else '') }}",
        "years; less the MAE",
    ),
    SEEDS,
)

Taken = tuple[int, ...]
"""The numbers of the steps that a setting takes, in their order."""


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay every result of a watched test part beside what picking epochs on it would have claimed.

    And the steps beside the setting that takes none of them and is the same in all else.

    Returns:
        A row a setting, those of a plain one together and in the order of the steps: `SETTING`,
        `status`, `plain` (the key of the plain one; of a setting without any its own), `steps` (in
        words), `mae`, `mae_low`, `mae_high`, `seed_sd`, `picked` (years: the smallest test error of
        any epoch of each fold, pooled, the mean over the seeds whose test part was watched; missing
        where none was), `claimed` (that minus the MAE of these seeds), `reference_steps` (those of
        the row that it is held against, which takes the most of its own; of several it is the one
        without the last), `steps_between` (how many more it takes), `difference`, `low`, `high`,
        `p`, `p_holm` (adjusted for the steps from one plain setting), `detectable` and `verdict` as
        in `comparisons`. The next step that was not measured is "not run" with the `command` that
        would.
    """
    rows: list[dict[str, Any]] = []
    told: set[int] = set()
    for plain, chain in _chains(evidence.groups):
        if len(chain) > 1 or _picked(plain) is not None:
            rows += _of_chain(evidence, plain, chain)
            told |= {id(group) for group in chain.values()}
    rows += [
        _row(group, group, _in_words(_found(group)))
        for group in evidence.groups
        if id(group) not in told and _picked(group) is not None
    ]
    columns = ["status", "plain", "steps", "mae", "mae_low", "mae_high", "seed_sd", "picked"]
    columns += ["claimed", "reference_steps", "steps_between", "difference", "low", "high", "p"]
    columns += ["p_holm", "detectable", "verdict", "command"]
    table = pd.DataFrame(rows, columns=[*SETTING, *columns])
    return whole_numbers(table, ["steps_between"])


def _chains(groups: Sequence[Group]) -> list[tuple[Group, dict[Taken, Group]]]:
    """Each setting that takes no step, and those that differ in steps alone, it included."""
    chains: list[tuple[Group, dict[Taken, Group]]] = []
    for plain in groups:
        if _found(plain) or any(taken(plain, other) == () for other, _ in chains):
            continue
        chain: dict[Taken, Group] = {}
        for group in groups:
            steps = taken(group, plain)
            if steps is not None:
                chain.setdefault(steps, group)
        chains.append((plain, dict(sorted(chain.items()))))
    return sorted(chains, key=lambda chain: groups.index(chain[0]))


def taken(group: Group, plain: Group) -> Taken | None:
    """The steps by which a setting differs from a plain one; None where it differs in more."""
    if group.losses != plain.losses or data_of(group.first) != data_of(plain.first):
        return None
    values, plains = _values(group), _values(plain)
    differing = {path for path in {*values, *plains} if values.get(path) != plains.get(path)}
    steps = tuple(
        place
        for place, step in enumerate(STEPS)
        if step.path in differing and step.in_values(values)
    )
    return steps if differing == {STEPS[place].path for place in steps} else None


def _values(group: Group) -> dict[str, Any]:
    """What decides a result but losses and seed; what is off counts as not there."""
    return {path: value for path, value in values_of(group.first).items() if value}


def _found(group: Group) -> Taken:
    """The steps among a setting's values, whatever else it has."""
    values = _values(group)
    return tuple(place for place, step in enumerate(STEPS) if step.in_values(values))


def _in_words(steps: Taken) -> str:
    return " + ".join(STEPS[place].words for place in steps) or PLAIN


def _picked(group: Group) -> float | None:
    """The mean over those seeds whose test part was watched; None where none was."""
    return of_known(fmean, [run.metrics.get("picked_on_test") for run in group.runs])


def _claimed(group: Group) -> float | None:
    """What picking takes off the error of these seeds, on average."""
    told = [(run.metrics.get("picked_on_test"), run.metrics["mae"]) for run in group.runs]
    return of_known(fmean, [None if picked is None else picked - mae for picked, mae in told])


def _of_chain(
    evidence: Evidence, plain: Group, chain: Mapping[Taken, Group]
) -> list[dict[str, Any]]:
    """The rows of one plain setting and its steps, and the next of them that was not measured."""
    held = {steps: _nearest(steps, chain) for steps in chain if steps}
    compared = [
        compare(by_seed(chain[steps]), by_seed(chain[reference]))
        for steps, reference in held.items()
    ]
    rows = [_row(plain, plain, PLAIN)]
    for (steps, reference), comparison, p_holm in zip(
        held.items(), compared, adjust(compared), strict=True
    ):
        group = chain[steps]
        row, against = _row(group, plain, _in_words(steps)), row_of(group, comparison, p_holm)
        # Of a setting all seeds are told, also where fewer were compared.
        kept = {name: row[name] for name in SETTING}
        between = {"steps_between": len(steps) - len(reference)}
        rows.append(row | against | kept | between | {"reference_steps": _in_words(reference)})
    whole = [tuple(range(count)) for count in range(1, TO_THEIRS + 1)]
    lacking = next((steps for steps in whole if steps not in chain), None)
    return rows + ([] if lacking is None else _not_run(evidence, plain, lacking))


def _nearest(steps: Taken, measured: Iterable[Taken]) -> Taken:
    """Of measured steps the most that are among some, of as many those without the last."""
    fewer = [other for other in measured if set(other) < set(steps)]
    return max(fewer, key=lambda other: (len(other), other == steps[:-1]))


def _row(group: Group, plain: Group, steps: str) -> dict[str, Any]:
    return group.columns | {
        "plain": plain.first.key,
        "steps": steps,
        "picked": _picked(group),
        "claimed": _claimed(group),
        "reference_steps": "",
        "verdict": "",
    }


def _not_run(evidence: Evidence, plain: Group, steps: Taken) -> list[dict[str, Any]]:
    """The row of steps that were not measured; none where no command names the plain losses."""
    protocol = plain.first.protocol
    names = [name for name in SETTINGS if evidence.find([plain], protocol, name)]
    if not names:
        return []
    parameters = {**plain.first.parameters}
    for path, value in [(WATCHED, True), *((STEPS[n].path, STEPS[n].value) for n in steps)]:
        block, _, name = path.partition(".")
        parameters[block] = {**parameters.get(block, {}), name: value}
    lacking = evidence.not_run(protocol, names[0], parameters, max(len(plain.runs), _SEEDS))
    told = {name: plain.columns[name] for name in FAMILY}
    budget = evidence.papers.describe(parameters, plain.first.pretraining)
    row = {"plain": plain.first.key, "budget": budget, "steps": _in_words(steps)}
    return [told | lacking | row]


def _show(contents: Contents) -> list[Part]:
    """A part a plain setting, whose heading says what all measured rows have in common."""
    parts: list[Part] = []
    for _, rows in contents.tables["picked_on_test"].groupby("plain", sort=False):
        measured = rows.loc[rows["status"] == "measured", "budget"]
        budgets = [budget.split(", ") for budget in measured]
        common = [word for word in budgets[0] if all(word in budget for budget in budgets)]
        head = rows_of(rows)[0] | {"budget": ", ".join(common)}
        parts.append(Part(*heading(head), list(_lay_out(rows)), unfolded=not parts))
    return parts


def _lay_out(rows: pd.DataFrame) -> Iterator[Grid | Missing]:
    measured = rows[rows["status"] == "measured"]
    caption = "Step by step, and what picking each fold's best epoch on its test part would claim."
    yield Grid(caption, COLUMNS, rows_of(measured), "cards uneven", meanings(measured))
    for row in rows_of(rows[rows["status"] == "not run"]):
        yield Missing(f"Not measured: {row['steps']}", row["command"])


_NOTHING = "Nothing was measured of it: it takes runs that watch their test part, or take a step."

SECTION = Section(
    "picked",
    "From our number to the paper's",
    (
        "A public implementation of the mean-variance loss that has the paper's network, rate, "
        "batch and λ differs from the recipe here in five steps. Its head is batch norm, dropout "
        "of 0.5 and one linear layer; the rate falls to a tenth for the last fifth of the epochs; "
        "ages are rounded; a random tenth of the training images is held out, so that people are "
        "on both sides; and the epoch that is best on these is kept. Then it prints the test error "
        "of every epoch: whoever reports the best of them has picked on the test part. Each step "
        "is an option here and none a default; what was measured of them stands below, by itself "
        "or on top of others.",
        "An epoch can be chosen without seeing people of the test part or of the training: a tenth "
        "of the training part's people is held out, all of their images, and the epoch that is "
        "best on them is kept. Where that was run it has rows of its own.",
        "“Picked on test” is that claim: the smallest test error of any epoch in each fold, "
        "pooled, of the seeds whose test part was watched. It is the error of no network that was "
        "chosen without the test part, and selects nothing here.",
    ),
    "picked_on_test",
    make,
    show=_show,
    nothing=_NOTHING,
    missing=Missing(
        "The first step, with what picking epochs on the test part would claim",
        "kedro sweep --pipeline=fgnet_se --set model.head=linear,dropout --seeds=2 "
        "--params=setting=mv,training.watch_test=true",
    ),
    too_little=_NOTHING,
)
