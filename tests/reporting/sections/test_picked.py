"""The steps from our recipe to another: who is held against whom, and what is claimed."""

from typing import Any

import pytest

from contrastive_age.evaluation.comparison import holm
from contrastive_age.reporting import page, sections
from contrastive_age.reporting.groups import Evidence
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.picked import PLAIN, STEPS, TO_THEIRS
from contrastive_age.reporting.sections.section import Contents, Part
from reporting.runs import FACES, PAPERS, SMALL, MakeRun, evidence

HEAD, RATE, ROUNDED, HELD, KEPT, PEOPLE, KEPT_ON_PEOPLE = (step.words for step in STEPS)


def chosen(*steps: int, watch: bool = True) -> dict[str, Any]:
    """The budget of a setting that takes these steps."""
    budget: dict[str, Any] = {name: dict(values) for name, values in SMALL.items()}
    if watch:
        budget["training"]["watch_test"] = True
    for place in steps:
        block, _, name = STEPS[place].path.partition(".")
        budget[block] = budget.get(block, {}) | {name: STEPS[place].value}
    # As it is dumped: with what it holds beside, at its default.
    if "testing" in budget:
        budget["testing"] |= {"mirrored": False}
    return budget


def runs_of(make_run: MakeRun, *steps: int, seeds: int = 2, **more: Any) -> list[Measured]:
    watch = more.pop("watch", True)
    budget = chosen(*steps, watch=watch) | more.pop("budget", {})
    off = more.pop("off", 3.0 + len(steps))
    told = {"picked_on_test": off - 0.5} if watch else {}
    return [
        make_run("fgnet_se", "mv", seed, budget=budget, off=off + seed, **told, **more)
        for seed in range(seeds)
    ]


@pytest.fixture
def taken(make_run: MakeRun) -> Evidence:
    """A plain setting; a chain of two steps, one by itself, two that belong together; strangers."""
    runs = [
        run for steps in [(), (0,), (0, 1), (2,), (3,), (3, 4)] for run in runs_of(make_run, *steps)
    ]
    runs += runs_of(make_run, watch=False)
    runs += runs_of(make_run, 0, external=FACES)
    runs += runs_of(make_run, 1, budget={"max_samples": 7}, watch=False)
    return evidence(runs)


def test_steps_stand_in_their_order_and_are_held_against_the_row_without_the_last(
    taken: Evidence,
) -> None:
    table = sections.picked.make(taken)
    measured = table[(table["status"] == "measured") & (table["pretraining"] == "")]
    told = measured[["steps", "reference_steps"]].fillna("").to_numpy().tolist()
    assert told == [
        [PLAIN, ""],
        [HEAD, PLAIN],
        [f"{HEAD} + {RATE}", HEAD],
        [ROUNDED, PLAIN],
        [HELD, PLAIN],
        [f"{HELD} + {KEPT}", HELD],
    ]
    mae = dict(zip(measured["steps"], measured["mae"], strict=True))
    for _, row in measured.iloc[1:].iterrows():
        assert row["difference"] == pytest.approx(mae[row["steps"]] - mae[row["reference_steps"]])
    p = measured["p"].iloc[1:]
    assert measured["p_holm"].iloc[1:].to_numpy() == pytest.approx(holm(p))
    assert measured["steps_between"].iloc[1:].tolist() == [1] * 5
    # One part on the page, whatever the steps change in words of a budget.
    assert measured["plain"].nunique() == 1


def test_the_heading_says_what_holds_for_all_rows(make_run: MakeRun) -> None:
    tables = page.tables(evidence([*runs_of(make_run), *runs_of(make_run, 1)]))
    table = tables["picked_on_test"]
    assert [budget.split(", ")[2] for budget in table["budget"]] == [
        *["one-cycle", "stepped rate", "one-cycle"],
    ]
    (part,) = sections.picked.SECTION.blocks(Contents(tables, PAPERS, {}))
    assert isinstance(part, Part)
    assert part.small.startswith("48 px, 8 epochs, ")
    assert not {"one-cycle", "stepped rate"} & set(part.small.split(", "))


def test_a_row_is_held_against_the_most_of_its_steps_that_were_measured(make_run: MakeRun) -> None:
    runs = [
        run
        for steps in [(), (0,), (1, 2), (0, 1, 2), (0, 1, 3), (2, 3, 4)]
        for run in runs_of(make_run, *steps)
    ]
    tables = page.tables(evidence(runs))
    table = tables["picked_on_test"].set_index("steps")
    told = {
        f"{HEAD} + {RATE} + {ROUNDED}": (f"{RATE} + {ROUNDED}", 1),
        f"{HEAD} + {RATE} + {HELD}": (HEAD, 2),
        f"{ROUNDED} + {HELD} + {KEPT}": (PLAIN, 3),
    }
    for steps, (reference, between) in told.items():
        row = table.loc[steps]
        assert (row["reference_steps"], row["steps_between"]) == (reference, between)
        assert row["difference"] == pytest.approx(row["mae"] - table.loc[reference, "mae"])
    html = page.render(tables, PAPERS)
    assert "2 steps between" in html
    assert "1 steps between" not in html


def test_of_one_seed_the_next_step_is_a_sweep_of_two(make_run: MakeRun) -> None:
    table = sections.picked.make(evidence(runs_of(make_run, seeds=1)))
    assert table["command"].iloc[-1].endswith("--seeds=2")


@pytest.mark.parametrize(
    ("held", "kept", "held_words", "kept_words"),
    [(3, 4, HELD, KEPT), (5, 6, PEOPLE, KEPT_ON_PEOPLE)],
    ids=["images", "people"],
)
@pytest.mark.parametrize("alone", [False, True])
def test_the_best_epoch_is_named_by_whom_it_is_best_on(
    make_run: MakeRun, held: int, kept: int, held_words: str, kept_words: str, alone: bool
) -> None:
    both = f"{held_words} + {kept_words}"
    chain: list[tuple[int, ...]] = [(held, kept)] if alone else [(), (held,), (held, kept)]
    table = sections.picked.make(evidence(run for s in chain for run in runs_of(make_run, *s)))
    measured = table[table["status"] == "measured"]
    told = dict(zip(measured["steps"], measured["reference_steps"], strict=True))
    expected = {both: ""} if alone else {PLAIN: "", held_words: PLAIN, both: held_words}
    assert told == expected


def test_people_held_out_are_no_plain_setting_and_no_step_towards_theirs(
    make_run: MakeRun,
) -> None:
    """The best epoch on them is held against the plain setting where they are not kept from it."""
    known = evidence(run for steps in [(), (5, 6)] for run in runs_of(make_run, *steps))
    table = sections.picked.make(known)
    (row,) = table[table["steps"] == f"{PEOPLE} + {KEPT_ON_PEOPLE}"].to_dict("records")
    assert row["reference_steps"] == PLAIN
    (lacking,) = table.loc[table["status"] == "not run"].to_dict("records")
    assert lacking["steps"] == HEAD
    every = [tuple(range(count)) for count in range(TO_THEIRS + 1)]
    known = evidence(run for steps in every for run in runs_of(make_run, *steps))
    assert (sections.picked.make(known)["status"] == "measured").all()


def test_what_is_claimed_is_the_mean_over_seeds_beside_the_error(taken: Evidence) -> None:
    table = sections.picked.make(taken)
    plain = table.iloc[0]
    assert (plain["mae"], plain["picked"]) == (3.5, 2.5)
    assert plain["claimed"] == pytest.approx(-1.0)
    html = page.render(page.tables(taken), PAPERS)
    assert "From our number to the paper" in html
    assert "−1.00" in html


def test_the_next_step_has_the_command_that_measures_it(taken: Evidence) -> None:
    table = sections.picked.make(taken)
    (lacking,) = table.loc[table["status"] == "not run"].to_dict("records")
    assert lacking["steps"] == f"{HEAD} + {RATE} + {ROUNDED}"
    for part in (
        "kedro sweep --pipeline=fgnet_se",
        "setting=mv",
        "training.watch_test=True",
        "model.head=dropout",
        "training.schedule=step",
        "testing.rounded=True",
        "--seeds=2",
    ):
        assert part in lacking["command"]


def test_a_watched_result_without_its_plain_one_stands_alone(taken: Evidence) -> None:
    table = sections.picked.make(taken)
    (alone,) = table[table["pretraining"] != ""].to_dict("records")
    assert (alone["steps"], alone["picked"]) == (HEAD, 3.5)
    assert (alone["reference_steps"], alone["verdict"]) == ("", "")


def test_of_seeds_that_were_not_all_watched_those_are_claimed_that_were(make_run: MakeRun) -> None:
    plain, watched = runs_of(make_run, seeds=3, watch=False), runs_of(make_run, seeds=1)
    table = sections.picked.make(evidence([*plain, *watched]))
    (row,) = table[table["status"] == "measured"].to_dict("records")
    assert (row["seeds"], row["mae"]) == ("0, 1, 2", 4.0)
    assert (row["picked"], row["claimed"]) == (2.5, -0.5)


def test_where_nothing_was_watched_a_command_is_shown(make_run: MakeRun) -> None:
    tables = page.tables(evidence([make_run(setting="mv"), make_run(setting="ce")]))
    assert tables["picked_on_test"].empty
    html = page.render(tables, PAPERS, environment="demo")
    assert "training.watch_test=true" in html
    assert "kedro sweep --env=demo --pipeline=fgnet_se --set model.head" in html
    assert "kedro run --env=demo --pipeline=pretrain" in html
    assert "kedro sweep --pipeline=fgnet_se --set" in page.render(tables, PAPERS)
