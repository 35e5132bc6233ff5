"""What the runs say beyond the paper's tables, as tables of their own.

Rows that can be compared have equal `FAMILY` columns: the same protocol, data and budget, so that
they differ in their losses alone. Errors are in years, shares in percent. Where a setting has
several seeds, each number is the mean over them, and an interval reaches from the lowest end over
the seeds to the highest, unless a function says otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from contrastive_age.evaluation.bootstrap import compare
from contrastive_age.reporting.results import (
    PAPER_MEAN_VARIANCE,
    Group,
    command,
    command_of_sweep,
    families,
    find,
    inputs_of,
    papers_losses,
)

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
"""What settings have in common that can be compared."""

PAPERS_CURVES = "morph_se"
"""The protocol of the paper's Figure 3."""

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"
"""Verdicts: an interval below 0, above 0, or around it."""

POINTS_OF_A_CURVE = 3
"""Fewer values of λ draw no curve; the comparisons hold them."""

IDENTITY_MEASURES: Mapping[str, tuple[str, str, float]] = {
    "variance_features": ("variance", "features", 1.0),
    "variance_logits": ("variance", "logits", 1.0),
    "variance_probabilities": ("variance", "probabilities", 1.0),
    "variance_predicted_age": ("variance", "predicted_age", 1.0),
    "variance_true_age": ("variance", "true_age", 1.0),
    "within_over_total": ("variance_ratio", "features", 1.0),
    "within_over_total_age": ("variance_ratio", "true_age", 1.0),
    "retrieval": ("retrieval", "accuracy", 100.0),
    "retrieval_chance": ("retrieval", "chance", 100.0),
    "probe": ("probe", "accuracy", 100.0),
    "probe_chance": ("probe", "chance", 100.0),
    "probe_from_age": ("probe", "accuracy_from_age", 100.0),
    "age_r2": ("age_without_identity", "r2", 1.0),
}
"""Columns of `identity_measures`: measure and value in `identity.json`, and a factor."""

Rows = list[dict[str, Any]]


def comparisons(groups: Iterable[Group], environment: str = "base") -> pd.DataFrame:
    """Compare settings on the same test images, paired by subject.

    Each setting is compared with MV, and the ternary with the binary contrast.

    Args:
        groups: As `results.group_seeds` gives them.
        environment: Of the commands of references that were not run.

    Returns:
        A row a comparison: `FAMILY`, `status`, `losses`, `reference`, `difference` (MAE minus the
        reference's; negative is better), `low` and `high` (its 95% interval by bootstrap over
        subjects; seeds are averaged image by image), `verdict`, `subjects_improved` and
        `subjects_worsened`, `seeds` and `reference_seeds`. Settings without MV beside them have one
        row that is "not run" with the `command` that would.
    """
    rows: Rows = []
    for family in families(groups):
        shared = family_of(family[0])
        protocol = family[0].protocol
        mv = find(family, protocol, papers_losses("MV", protocol))
        binary = find(family, protocol, papers_losses("MV + Cosine", protocol))
        ternary = find(family, protocol, papers_losses("MV + Cosine + Triplet", protocol))
        if not mv:
            call = command(protocol, "mv", environment, family[0].first.parameters)
            missing = {"status": "not run", "reference": "MV", "command": call}
            rows.append(shared | missing | {"losses": "", "verdict": ""})
        pairs = [(group, mv[0]) for group in family if mv and group is not mv[0]]
        pairs += [(ours, theirs) for ours in ternary for theirs in binary]
        rows += [shared | _compared(ours, theirs) for ours, theirs in pairs]
    columns = ["status", "losses", "reference", "difference", "low", "high", "verdict"]
    columns += ["subjects_improved", "subjects_worsened", "seeds", "reference_seeds", "command"]
    table = pd.DataFrame(rows, columns=[*FAMILY, *columns])
    return table.astype({"subjects_improved": "Int64", "subjects_worsened": "Int64"})


def statistics_by_group(groups: Iterable[Group]) -> pd.DataFrame:
    """Error by age, sex and race, as far as they are known.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a setting and group of images: `FAMILY`, `losses`, `seeds`, `kind` ("age_bin", "sex"
        or "race"), `group`, `n` images, `group_subjects`, `mae`, `mae_low`, `mae_high` and `bias`.
    """
    rows: Rows = []
    for group in groups:
        documents = _known(group, "groups")
        for kind in documents[0] if documents else ():
            for place, first in enumerate(documents[0][kind]):
                parts = [document[kind][place] for document in documents]
                rows.append(
                    _setting(group)
                    | {
                        "kind": kind,
                        "group": first["group"],
                        "n": first["n"],
                        "group_subjects": first["subjects"],
                        "mae": _mean(part["mae"] for part in parts),
                        "mae_low": _extreme(min, (part["mae_low"] for part in parts)),
                        "mae_high": _extreme(max, (part["mae_high"] for part in parts)),
                        "bias": _mean(part["bias"] for part in parts),
                    }
                )
    columns = ["kind", "group", "n", "group_subjects", "mae", "mae_low", "mae_high", "bias"]
    return _frame(rows, columns)


def thresholds(groups: Iterable[Group]) -> pd.DataFrame:
    """Who is taken for old enough and is not, and the reverse, at 18, 21 and 25 years.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a setting and age: `FAMILY`, `losses`, `seeds`, `age`, `under_n` and `over_n` (images
        of truly younger, and of at least that age), `under_predicted_over` and
        `over_predicted_under` (percent of them that are predicted to be on the other side).
    """
    rows: Rows = []
    for group in groups:
        for parts in zip(*_known(group, "thresholds"), strict=True):
            counts = {name: parts[0][name] for name in ("age", "under_n", "over_n")}
            shares = {
                name: _mean(part[name] for part in parts)
                for name in ("under_predicted_over", "over_predicted_under")
            }
            rows.append(_setting(group) | counts | shares)
    columns = ["age", "under_n", "under_predicted_over", "over_n", "over_predicted_under"]
    return _frame(rows, columns)


def baselines(groups: Iterable[Group]) -> pd.DataFrame:
    """Results beside what needs no network.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a setting: `FAMILY`, `losses`, `seeds`, `mae`, `mae_low`, `mae_high`, `mae_constant`
        (always the training median), `mae_lookup` (the age in another picture of the subject) and
        `leaked_share` (percent of the test images whose subject is in training).
    """
    rows: Rows = []
    for group in groups:
        metrics = group.first.metrics
        rows.append(
            _setting(group)
            | {
                "mae": group.mae,
                "mae_low": group.interval.low if group.interval else None,
                "mae_high": group.interval.high if group.interval else None,
                "mae_constant": metrics["mae_constant"],
                "mae_lookup": metrics["mae_lookup"],
                "leaked_share": 100.0 * metrics["leaked_share"],
            }
        )
    columns = ["mae", "mae_low", "mae_high", "mae_constant", "mae_lookup", "leaked_share"]
    return _frame(rows, columns)


def predictive_intervals(groups: Iterable[Group]) -> pd.DataFrame:
    """How often the intervals around predictions hold the true age, and how wide they are.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a setting, level and age bin ("all" first): `FAMILY`, `losses`, `seeds`, `level`
        (percent), `group`, `n` images, `coverage` and `coverage_by_subject` (percent; the latter
        over all images only) and `width` (years; missing where an interval has no end).
    """
    rows: Rows = []
    for group in groups:
        documents = _known(group, "conformal")
        for level in documents[0] if documents else ():
            parts = [document[level] for document in documents]
            own = _setting(group) | {"level": float(level)}
            everyone = {
                name: _mean(part[name] for part in parts)
                for name in ("coverage", "coverage_by_subject", "width")
            }
            rows.append(own | {"group": "all", "n": group.first.metrics["n"]} | everyone)
            for name, first in parts[0]["by_age_bin"].items():
                bins = [part["by_age_bin"][name] for part in parts]
                values = {what: _mean(b[what] for b in bins) for what in ("coverage", "width")}
                rows.append(own | {"group": name, "n": first["n"]} | values)
    columns = ["level", "group", "n", "coverage", "coverage_by_subject", "width"]
    return _frame(rows, columns)


def lambda_curves(groups: Iterable[Group], environment: str = "base") -> pd.DataFrame:
    """MAE over the weight of the cosine and of the triplet loss (Fig. 3).

    Only curves of at least `POINTS_OF_A_CURVE` values are given. They are measured on test folds,
    so that they tell how sensitive the error is and select nothing.

    Args:
        groups: As `results.group_seeds` gives them.
        environment: Of the commands of what was not run.

    Returns:
        A row a point: `FAMILY`, `seeds`, `status`, `curve` ("c": λ_c with λ_t = 0; "t": λ_t with a
        fixed λ_c above 0), `lambda_c`, `lambda_t`, `margin` (of all triplets of a curve), `mae`,
        `mae_low`, `mae_high` (95%, subjects), `seed_sd` and `command`. The paper's own curves, on
        MORPH II subject-exclusive, have a row that is "not run" where they were not; networks that
        were pre-trained on faces do not count as having run them.
    """
    rows: Rows = []
    for family in families(groups):
        for kind, margin, curve in _curves(family):
            rows += [
                _setting(group)
                | {
                    "status": "measured",
                    "curve": kind,
                    "lambda_c": group.losses["lambda_c"],
                    "lambda_t": group.losses["lambda_t"],
                    "margin": margin,
                    "mae": group.mae,
                    "mae_low": group.interval.low if group.interval else None,
                    "mae_high": group.interval.high if group.interval else None,
                    "seed_sd": group.seed_sd,
                    "command": "",
                }
                for group in curve
            ]
    drawn = {(row["protocol"], row["curve"]) for row in rows if not row["pretraining"]}
    rows += [
        {
            "protocol": PAPERS_CURVES,
            "pretraining": "",
            "status": "not run",
            "curve": kind,
            "command": command_of_sweep(preset, environment),
        }
        for kind, preset in (("c", "fig3a"), ("t", "fig3b"))
        if (PAPERS_CURVES, kind) not in drawn
    ]
    columns = ["status", "curve", "lambda_c", "lambda_t", "margin", "mae", "mae_low", "mae_high"]
    return _frame(rows, [*columns, "seed_sd", "command"]).drop(columns="losses")


def identity_measures(groups: Iterable[Group]) -> pd.DataFrame:
    """How much the networks' outputs tell of whose face they saw.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a setting whose identity was measured: `FAMILY`, `losses`, `seeds` (measured), and
        means over these seeds, missing where the test parts are too small for a measure:
        `variance_features, variance_logits, variance_probabilities, variance_predicted_age,
        variance_true_age` (as in Table 5; the last two in years squared), `within_over_total` (of
        unit-length features) and `within_over_total_age` (of the age itself), in percent
        `retrieval, retrieval_chance, probe, probe_chance, probe_from_age`, and `age_r2`.
    """
    rows: Rows = []
    for group in groups:
        known = [(run.seed, run.identity) for run in group.runs if run.identity]
        if not known:
            continue
        seeds = ", ".join(str(seed) for seed, _ in known)
        values = {
            column: _mean(_scaled(document[measure].get(name), scale) for _, document in known)
            for column, (measure, name, scale) in IDENTITY_MEASURES.items()
        }
        rows.append(_setting(group) | {"seeds": seeds} | values)
    return _frame(rows, list(IDENTITY_MEASURES))


def attention(groups: Iterable[Group]) -> pd.DataFrame:
    """Where the networks look: the mass of Grad-CAM maps on the parts of the face.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a setting, age group ("all" first) and region: `FAMILY`, `losses`, `seeds` (with
        maps), `grid` (cells of a map), `group`, `n` faces, `region`, `mass` and `area` (percent;
        the area is the mass of a map that is equal everywhere).
    """
    rows: Rows = []
    for group in groups:
        known = [(run.seed, run.gradcam) for run in group.runs if run.gradcam]
        if not known:
            continue
        documents = [document for _, document in known]
        first = documents[0]
        own = _setting(group) | {
            "seeds": ", ".join(str(seed) for seed, _ in known),
            "grid": "×".join(str(side) for side in first["grid"]),
        }
        for name in ("all", *first["age_groups"]):
            parts = [d if name == "all" else d["age_groups"][name] for d in documents]
            masses = [part["mass"] for part in parts if part["mass"]]
            rows += [
                own
                | {
                    "group": name,
                    "n": parts[0]["n"],
                    "region": region,
                    "mass": 100.0 * fmean(mass[region] for mass in masses) if masses else None,
                    "area": 100.0 * area,
                }
                for region, area in first["area"].items()
            ]
    return _frame(rows, ["grid", "group", "n", "region", "mass", "area"])


def selections(
    documents: Sequence[Mapping[str, Any]], groups: Iterable[Group] = ()
) -> pd.DataFrame:
    """What was chosen on validation parts of the training subjects, fold by fold.

    Args:
        documents: For each choice `protocol`, `candidates` (setting keys), `by_fold` (`fold`,
            `chosen` and `validation_mae` by key), `mae` over the test parts with what each fold
            chose, and `mae_interval`.
        groups: As `results.group_seeds` gives them, to tell which candidates were pre-trained on
            faces.

    Returns:
        A row a choice and fold, those with a candidate that was pre-trained on faces last:
        `protocol`, `pretraining` (of the candidates that were pre-trained on faces),
        `candidates`, `fold`, `chosen`, `validation_mae` (of the chosen), and for the whole choice
        `mae`, `mae_low` and `mae_high`.
    """
    told = {
        (run.protocol, run.key): group.pretraining.words
        for group in groups
        if group.pretraining
        for run in group.runs + group.repeats
    }

    def before(document: Mapping[str, Any]) -> str:
        known = (told.get((document["protocol"], key)) for key in document["candidates"])
        return "; ".join(dict.fromkeys(words for words in known if words))

    rows = [
        {
            "protocol": document["protocol"],
            "pretraining": before(document),
            "candidates": ", ".join(document["candidates"]),
            "fold": part["fold"],
            "chosen": part["chosen"],
            "validation_mae": part["validation_mae"][part["chosen"]],
            "mae": document["mae"],
            "mae_low": (document.get("mae_interval") or [None, None])[0],
            "mae_high": (document.get("mae_interval") or [None, None])[1],
        }
        for document in sorted(documents, key=lambda document: bool(before(document)))
        for part in document["by_fold"]
    ]
    columns = ["protocol", "pretraining", "candidates", "fold", "chosen", "validation_mae"]
    return pd.DataFrame(rows, columns=[*columns, "mae", "mae_low", "mae_high"])


def family_of(group: Group) -> dict[str, Any]:
    """The columns `FAMILY` of a group."""
    run = group.first
    return {
        "protocol": run.protocol,
        "budget": group.budget,
        "start": group.start,
        "pretraining": group.pretraining.words if group.pretraining else "",
        "images": run.metrics["n"],
        "subjects": run.metrics["subjects"],
        "folds": run.metrics["folds"],
        "drawn_faces": run.demo,
        "manifest_hash": run.metrics["manifest_hash"],
        "inputs": inputs_of(run),
    }


def seeds_of(group: Group) -> str:
    """The seeds in words, such as "0, 1"."""
    return ", ".join(str(run.seed) for run in group.runs)


def _setting(group: Group) -> dict[str, Any]:
    return family_of(group) | {"losses": group.name, "seeds": seeds_of(group)}


def _known(group: Group, name: str) -> list[Any]:
    """A part of `metrics.json` of those seeds that have it."""
    return [run.metrics[name] for run in group.runs if run.metrics.get(name)]


def _compared(ours: Group, reference: Group) -> dict[str, Any]:
    found = compare(ours.tables, reference.tables)
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    verdict = NO_DIFFERENCE
    if high is not None and high < 0:
        verdict = BETTER
    if low is not None and low > 0:
        verdict = WORSE
    return {
        "status": "measured",
        "losses": ours.name,
        "reference": reference.name,
        "difference": found.difference,
        "low": low,
        "high": high,
        "verdict": verdict,
        "subjects_improved": found.improved,
        "subjects_worsened": found.worsened,
        "seeds": seeds_of(ours),
        "reference_seeds": seeds_of(reference),
        "command": "",
    }


def _curves(family: Sequence[Group]) -> list[tuple[str, float | None, list[Group]]]:
    """The curves of a family: kind, margin and groups in the order of the varied weight."""
    known = [
        group
        for group in family
        if all(group.losses[term] == weight for term, weight in PAPER_MEAN_VARIANCE.items())
        and not group.losses["lambda_k"]
    ]
    without = [group for group in known if not group.losses["lambda_t"]]
    found: list[tuple[str, float | None, list[Group]]] = [("c", None, without)]
    pairs = {(g.losses["lambda_c"], g.losses["margin"]) for g in known if g.losses["lambda_t"]}
    for cosine, margin in sorted(pairs):
        curve = [
            group
            for group in known
            if cosine == group.losses["lambda_c"] and group.losses.get("margin", margin) == margin
        ]
        if cosine:
            found.append(("t", margin, curve))
    return [
        (kind, margin, sorted(curve, key=lambda group: group.losses[f"lambda_{kind}"]))
        for kind, margin, curve in found
        if len(curve) >= POINTS_OF_A_CURVE
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean, or None where a seed has no value."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return fmean(known) if known and len(known) == len(listed) else None


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else scale * value


def _extreme(pick: Any, values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(pick(known)) if known else None


def _frame(rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*FAMILY, "losses", "seeds", *columns])
