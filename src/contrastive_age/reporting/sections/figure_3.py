"""Fig. 3: the paper's curves over the weights of the cosine and of the triplet loss."""

from contrastive_age.reporting import published, wording
from contrastive_age.reporting.groups import rows_of
from contrastive_age.reporting.sections.section import Contents, Missing, Section

_MINIMUM = published.table(3).set_index("row").loc["Ours (ternary loss)", "value"]
_NAMES = {
    "loss.lambda_c": "Fig. 3a, λ_c with λ_t = 0",
    "loss.lambda_t": "Fig. 3b, λ_t with λ_c 8 and 10",
}
_WORDS = (
    "The paper gives its curves as a picture only, with their minimum in words: λ_c = 10 and "
    f"λ_t = 1, {wording.number(_MINIMUM)} years on MORPH II, subject-exclusive. Those that were "
    "measured here stand above, under “Sweeps”."
)


def _show(contents: Contents) -> list[Missing]:
    points = contents.tables["curves"]
    return [
        Missing(f"{_NAMES[row['parameter']]}, on MORPH II: not run", row["command"])
        for row in rows_of(points[points["status"] == "not run"])
    ]


SECTION = Section(
    "figure-3",
    "Fig. 3: weights of the losses",
    (_WORDS,),
    show=_show,
    nothing=_WORDS,
)
