"""Table 3: MORPH II, subject-exclusive."""

from contrastive_age.reporting.sections.beside_published import errors

SECTION = errors(
    3,
    "morph_se",
    "MORPH II, subject-exclusive",
    "No subject is in both training and test.",
)
