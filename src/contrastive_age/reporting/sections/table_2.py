"""Table 2: MORPH II, random split."""

from contrastive_age.reporting.sections.beside_published import errors

SECTION = errors(
    2,
    "morph_rs",
    "MORPH II, random split",
    "Under the random split most test images have their subject in training too: see the identity "
    "lookup below.",
)
