"""Fig. 2: example predictions, and where two settings look in the same faces."""

from contrastive_age.reporting.sections.section import Section

SECTION = Section(
    "figure-2",
    "Fig. 2: examples",
    ("Example predictions, and Grad-CAM of two settings side by side.",),
    pictures="figure_2",
    nothing="No examples were drawn: they need a setting that was run.",
)
