"""How much the networks' outputs tell of whose face they saw."""

from collections.abc import Mapping

import pandas as pd

from contrastive_age.reporting.groups import Evidence, mean
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

MEASURES: Mapping[str, tuple[str, str, float]] = {
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
"""Columns of the table: measure and value in `identity.json`, and a factor."""

VARIANCES = Layout(
    "Mean variance within an identity (as Table 5). It grows with the outputs' scale.",
    (
        LOSSES,
        Column("Features", "{{ variance_features | significant }}"),
        Column("Logits", "{{ variance_logits | significant }}"),
        Column("Probabilities", "{{ variance_probabilities | significant }}"),
        Column("Predicted age (years²)", "{{ variance_predicted_age | significant }}"),
        Column("True age (years²)", "{{ variance_true_age | significant }}"),
    ),
)

SCALE_FREE = Layout(
    "Measures that do not depend on scale.",
    (
        LOSSES,
        Column(
            "Variance within / total",
            "{{ within_over_total | number }}"
            "{{ small(after('true age', within_over_total_age | number)) }}",
            "low: identity is encoded",
        ),
        Column(
            "Same identity found",
            "{{ retrieval | percent }}{{ small(after('chance', retrieval_chance | percent)) }}",
            "among similar ages; high: encoded",
        ),
        Column(
            "Linear identity probe",
            "{{ probe | percent }}{{ small(after('from age alone', probe_from_age | percent)) }}",
            "high: encoded",
        ),
        Column("Age read without identity", "{{ age_r2 | number }}", "R²; high: age stands alone"),
    ),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out the measures of identity.

    Returns:
        A row a setting whose identity was measured: `FAMILY`, `losses`, `seeds` (measured), and
        means over these seeds, missing where the test parts are too small for a measure:
        `variance_features, variance_logits, variance_probabilities, variance_predicted_age,
        variance_true_age` (as in Table 5; the last two in years squared), `within_over_total` (of
        unit-length features) and `within_over_total_age` (of the age itself), in percent
        `retrieval, retrieval_chance, probe, probe_chance, probe_from_age`, and `age_r2`.
    """
    return evidence.table(
        list(MEASURES),
        lambda run: (
            []
            if run.identity is None
            else [
                {
                    column: scaled(run.identity[measure].get(name), scale)
                    for column, (measure, name, scale) in MEASURES.items()
                }
            ]
        ),
        **dict.fromkeys(MEASURES, mean),
    )


def scaled(value: float | None, scale: float) -> float | None:
    """The value in the table's unit, where there is one."""
    return None if value is None else scale * value


SECTION = Section(
    "identity",
    "Identity",
    (
        "Features that carry age and not identity would leave an identity hard to find, and age "
        "easy to read once each identity's mean is taken away.",
    ),
    "identity",
    make,
    (SCALE_FREE, VARIANCES),
    too_little="No setting's identity measures have been taken yet.",
)
