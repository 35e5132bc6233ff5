"""Table 4: FG-NET, one subject left out."""

from contrastive_age.reporting.sections.beside_published import errors

SECTION = errors(4, "fgnet_lopo", "FG-NET", "Each of 82 subjects is left out once.")
