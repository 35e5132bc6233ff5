"""The one registry of loss terms, and the parameters that it makes of their weights."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from pydantic.dataclasses import dataclass

from contrastive_age.model.architecture import LINEAR
from contrastive_age.model.losses import (
    bmse,
    conr,
    coral,
    cosine,
    dldl,
    dldl_v2,
    kl,
    kl_printed,
    l1,
    mean,
    or_cnn,
    ordinal_entropy,
    rnc,
    softmax,
    sord,
    supcon,
    triplet,
    unimodal,
    variance,
)
from contrastive_age.model.losses.term import Term
from contrastive_age.strict import STRICT

LOSSES = {
    term.name: term
    for term in (
        softmax.TERM,
        mean.TERM,
        variance.TERM,
        cosine.TERM,
        triplet.TERM,
        kl.TERM,
        kl_printed.TERM,
        rnc.TERM,
        supcon.TERM,
        conr.TERM,
        ordinal_entropy.TERM,
        dldl.TERM,
        dldl_v2.TERM,
        sord.TERM,
        or_cnn.TERM,
        coral.TERM,
        unimodal.TERM,
        l1.TERM,
        bmse.TERM,
    )
}
"""The terms by the columns of a training's history, in the order in which they are summed."""

PAPERS = ("softmax", "mean", "variance", "cosine", "triplet", "kl", "kl_printed")
"""The terms that every history reports, whether they act or not."""

TOTAL = "total"
"""The column of their weighted sum."""

Supervise = Literal["anchor", "all"]
"""Which images carry the terms over images."""

IN_EVERY_KEY = ("lambda_m", "lambda_v", "lambda_c", "lambda_t", "lambda_k")
"""The weights that a setting's key counts even where they are 0; others only above it."""


def titles() -> dict[str, str]:
    """Give what figures call the loss columns of a history, the total first."""
    return {TOTAL: "Total, weighted"} | {name: term.title for name, term in LOSSES.items()}


def acting(weights: "LossWeights") -> list[Term]:
    """Give the terms whose weight is not 0, in their order."""
    return [term for term in LOSSES.values() if getattr(weights, term.weight)]


def reported(weights: "LossWeights") -> list[str]:
    """Name the terms that a history has columns of: the paper's, and those that act."""
    act = [term.name for term in acting(weights)]
    return [name for name in LOSSES if name in PAPERS or name in act]


def head(weights: "LossWeights", given: str = LINEAR) -> str:
    """Name a network's head: the one that acting terms need, else the given one.

    Raises:
        ValueError: Another one is given than the terms need.
    """
    needed = next((term.head for term in acting(weights) if term.head), given)
    if given not in {LINEAR, needed}:
        raise ValueError(
            f"model.head={given} does not go with these losses, which need {needed}; leave it out"
        )
    return needed


def views(weights: "LossWeights") -> int:
    """Give how many views of every image of a batch are forwarded."""
    return max(term.views for term in acting(weights))


def defaults() -> dict[str, float]:
    """Give the weights and options that losses have where none are given."""
    terms = LOSSES.values()
    weights = {term.weight: term.default for term in terms}
    return weights | {name: value for term in terms for name, value in term.options.items()}


def stated(weights: "LossWeights") -> dict[str, float]:
    """Give the values by which losses are told apart: the paper's, and others off their default."""
    always = {LOSSES[name].weight for name in PAPERS if not LOSSES[name].default} | {"margin"}
    usual = defaults()
    return {
        name: value
        for name, value in dataclasses.asdict(weights).items()
        if name in always or value != usual[name]
    }


def weights_of(terms: Iterable[Term]) -> Any:
    """Make the class of the weights of terms, see `LossWeights`."""
    known = list(terms)
    annotations: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for term in known:
        annotations[term.weight] = NonNegativeFloat
        unsaid = None if term.weight in IN_EVERY_KEY else float(term.default).__eq__
        fields[term.weight] = Field(default=term.default, exclude_if=unsaid)
        for name, default in term.options.items():
            share = Annotated[float, Field(ge=0, lt=1)]
            annotations[name] = PositiveFloat if default else share
            fields[name] = Field(default=default, exclude_if=float(default).__eq__)

    def check(weights: Any) -> Any:
        """Refuse what would have no effect, and what no network can have."""
        acting = [term for term in known if getattr(weights, term.weight)]
        if not acting:
            raise ValueError("no loss has a weight; give loss.lambda_s=1, or another")
        for term in known:
            for name, default in term.options.items():
                if term not in acting and getattr(weights, name) != default:
                    raise ValueError(
                        f"loss.{name} has no effect without loss.{term.weight}: give this a "
                        "weight, or leave that out"
                    )
        heads = {term.head: f"loss.{term.weight}" for term in acting if term.head}
        if len(heads) > 1:
            raise ValueError(
                f"{' and '.join(heads.values())} need different heads of the network "
                f"({', '.join(heads)}); give one of them a weight of 0"
            )
        return weights

    body = {
        "__module__": __name__,
        "__annotations__": annotations | {"margin": NonNegativeFloat},
        **fields,
        "check": model_validator(mode="after")(check),
    }
    return dataclass(frozen=True, kw_only=True, config=STRICT)(type("LossWeights", (), body))


if TYPE_CHECKING:

    @dataclasses.dataclass(frozen=True)
    class LossWeights:
        """The weights of Eq. 7 and of further terms, their options, and the margin of Eq. 6.

        Each term of the registry has a field of its weight and one of each option, which are the
        term's default where they are not given: without any weight the total is plain cross
        entropy.

        Raises:
            ValueError: A value is out of its bounds, or no term's; an option is given of a term
                that does not act; no term acts, or two that need different heads.
        """

        margin: float

        def __init__(self, *, margin: float, **weights: float) -> None: ...

        def __getattr__(self, name: str) -> float:
            """Give a weight or an option."""

else:
    LossWeights = weights_of(LOSSES.values())
