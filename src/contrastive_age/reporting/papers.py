"""What the paper set: its losses, budget and grouping of photos, by the project's configuration.

And how runs are called beside it: by their losses and budget, and by what their networks started
from, which are ImageNet's weights, faces, another file, or nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from contrastive_age.model import losses
from contrastive_age.model.architecture import LINEAR, OF_ONE_NUMBER

SETTINGS: Mapping[str, str] = {
    "CE": "ce",
    "MV": "mv",
    "MV + KLD": "kld",
    "MV + Cosine": "binary",
    "MV + Triplet": "triplet",
    "MV + KLD + Triplet": "kld_ternary",
    "MV + Cosine + Triplet": "ternary",
}
"""The combinations of losses as Table 6 names them (and CE alone), and our names of them."""

PROTOCOLS: Mapping[str, str] = {
    "fgnet_lopo": "FG-NET, one subject left out",
    "fgnet_se": "FG-NET, subject-exclusive folds (not in the paper)",
    "morph_rs": "MORPH II, random split",
    "morph_se": "MORPH II, subject-exclusive",
    "utkface_rs": "UTKFace, random split (not in the paper)",
    "agedb_se": "AgeDB, subject-exclusive (not in the paper)",
    "utkface_to_fgnet": "From UTKFace to FG-NET (not in the paper)",
    "synthetic_se": "Drawn faces, subject-exclusive (not in the paper)",
    "custom_rs": "Own photos, random split (not in the paper)",
    "custom_se": "Own photos, subject-exclusive (not in the paper)",
}
"""The protocols in the order of the report, and what they are."""

PAPERS_PROTOCOLS = ("fgnet_lopo", "morph_rs", "morph_se")
"""Those of the paper, which have its budget unless another is given."""

NOT_PRETRAINED = "random weights (not pre-trained)"
LITE0 = "EfficientNet-Lite0 of ImageNet"

NETWORK = {"model.backbone": "resnet18", "model.head": "linear"}
"""What a network is made of, by dotted name: the paper's, which settings leave out."""

KLD_HARDLY_PULLS, PRINTED_HARDLY_PULLS = "KLD hardly pulls", "KLD as printed hardly pulls"
_HARDLY = (
    "{mark}: at a weight of 1 the gradient of its term by the logits has {pull} of the norm of "
    "that of the mean and variance terms (measured on FG-NET at 48 px after 8 epochs: python -m "
    "benchmarks.pull). Until its weight is swept (kedro sweep --preset={preset}), such a row is, "
    "but for chance, the one without it, MV or MV + Triplet, and says nothing of {name}. Chance is "
    "another network, as of another seed."
)
TWO_VIEWS, GIVEN_SPREAD = "two views", "spread given"
THEIRS = "theirs, from a file"
MARKS: Mapping[str, str] = {
    THEIRS: f"{THEIRS}: predictions that were brought by kedro compare and measured here on the "
    "same test photos. What made them, and what it was trained on, is not known here.",
    KLD_HARDLY_PULLS: _HARDLY.format(
        mark=KLD_HARDLY_PULLS, pull="0.7%", preset="lambda_k", name="KLD"
    ),
    PRINTED_HARDLY_PULLS: _HARDLY.format(
        mark=PRINTED_HARDLY_PULLS, pull="0.5%", preset="lambda_k_printed", name="Eq. 9 as printed"
    ),
    TWO_VIEWS: f"{TWO_VIEWS}: every image is forwarded in two random views, where other rows have "
    "one. Its difference from MV is that of the loss and of a second view together.",
    GIVEN_SPREAD: f"{GIVEN_SPREAD}: the head gives one number, and the softmax is a Gaussian of "
    "one year about it, whatever is learned. Its spread, and what is measured of it (CRPS, NLL, "
    "central shares, a temperature), are no findings, and not to be held against a classifier's.",
}
"""What marks of rows mean, see `mark`."""

SOURCES: Mapping[str, str] = {
    "morph2": "MORPH II",
    "fgnet": "FG-NET",
    "utkface": "UTKFace",
    "agedb": "AgeDB",
    "synthetic": "Drawn faces",
    "custom": "Own photos",
}
"""Names of the sources in words."""


Pretraining = Mapping[str, Any]
"""A training on other faces, from whose weights a network started: the paper's (F).

It is told in `external` of `metrics.json`: `name` (what was trained, such as "pretrain
ternary-1234abcd"), `sources` (of its faces, such as `utkface`), `n` (how many images), `identities`
(how many people they show; as many as images where nobody is known), `epochs`, `image_size` (what
its network saw, in pixels), `data_hash` (names its images and ages), `weights` (SHA-256 of its file
of weights: equal digests are the same pre-training) and `licence` (terms of its data).
"""

# All others, of which some have a budget of their own, are held against this one's.
_FOR_OTHERS = "fgnet_lopo"
_PARTS = {
    "lambda_k": "KLD",
    "lambda_k_printed": "KLD as printed",
    "lambda_c": "Cosine",
    "lambda_t": "Triplet",
} | {term.weight: term.title for name, term in losses.LOSSES.items() if name not in losses.PAPERS}
_USUAL = losses.defaults()
_SOFTMAX = losses.LOSSES["softmax"].weight
_OPTIONS = {name for term in losses.LOSSES.values() for name in term.options}
_FIRST = {
    (True, True): "MV",
    (False, True): "CE",
    (True, False): "MV without CE",
    (False, False): "",
}
"""What names begin with, by whether the mean-variance loss and the softmax loss act."""
_HARDLY_PULLING = 1
WATCHED = "training.watch_test"
"""By dotted name what is in a key and changes no network: a history says more."""

_NO_BUDGET = ("setting", "seed", "loss", "protocol")
_OF_PROTOCOL = (
    *("source", "trained_on", "split", "folds", "age_min", "age_max", "drawn", "manifest"),
)
_BY_CONTENT = {
    "model.digest": "model.weights",
    "splitting.folds_file_digest": "splitting.folds_file",
}
"""Values that say what the files hold that others name."""
_SCHEDULES = {
    "constant": "constant rate",
    "cosine": "cosine rate",
    "onecycle": "one-cycle",
    "step": "stepped rate",
}
_SAID_FIRST = {"image_size", "epochs", "schedule", "supervise", "mode", "weights"}
_IN_WORDS = {
    "image_size": "{} px",
    "epochs": "{} epochs",
    "folds": "{} folds",
    "mode": "{} triplets",
    "folds_file": "published folds",
    "seed": "splitting seed",
    "max_samples": "images ≤",
    "group_copies": "copies grouped",
    "allow_leaks": "leaks allowed",
    "most_bits": "copies within bits",
    "min_face": "faces ≥ pixels",
    "average": "weights averaged",
    "reweight": "reweighted by",
    "head_epochs": "{} epochs of the head",
    "keep": "{} epoch kept",
    "watch_test": "test watched",
    "mirrored": "mirror images tested",
    "rounded": "ages rounded",
}


@dataclass(frozen=True)
class Papers:
    """The paper's values, and this project's for what the paper leaves open.

    Attributes:
        settings: By protocol and named setting (`ce`, `mv`, ...) all values in effect in the base
            environment when nothing is given, nested as in `metrics.json`.
    """

    settings: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def values(self, name: str, protocol: str = _FOR_OTHERS) -> Mapping[str, Any]:
        """All values of a combination of losses as the paper set them for a protocol.

        Args:
            name: A key of `SETTINGS`.
            protocol: Such as `morph_se`.
        """
        return self.settings.get(protocol, self.settings[_FOR_OTHERS])[SETTINGS[name]]

    def losses(self, name: str, protocol: str = _FOR_OTHERS) -> dict[str, float]:
        """The weights among `values`."""
        return dict(self.values(name, protocol)["loss"])

    def named(self, protocol: str) -> dict[str, dict[str, float]]:
        """The losses of a protocol's named settings that act, by their names.

        Args:
            protocol: Such as `morph_se`.
        """
        settings = self.settings.get(protocol, self.settings[_FOR_OTHERS])
        return {name: acting_losses(values["loss"]) for name, values in settings.items()}

    @property
    def mean_variance(self) -> dict[str, float]:
        """The weights of the mean-variance loss in all the paper's settings."""
        return acting_losses(self.losses("MV"))

    @property
    def budget(self) -> str:
        """The paper's budget in words, see `describe`."""
        return self.describe(self.settings[_FOR_OTHERS]["mv"])

    def name(self, loss: Mapping[str, float]) -> str:
        """Name losses as Table 6 does, with each weight that the name leaves open.

        Args:
            loss: `lambda_m, lambda_v, lambda_c, lambda_t, lambda_k`, `margin` and those of further
                losses. Losses that this version does not know are named by their λ.

        Returns:
            Such as "MV", or "MV + Cosine + Triplet (λ_c 10, λ_t 1)".
        """
        acting = acting_losses(loss)
        usual = self.mean_variance
        mean_variance = {term: loss[term] for term in usual}
        weights = mean_variance if mean_variance != usual and any(mean_variance.values()) else {}
        softmax = loss.get(_SOFTMAX, _USUAL[_SOFTMAX])
        known = {*usual, _SOFTMAX}
        further = [term for term in acting if term.startswith("lambda_") and term not in known]
        ordered = sorted(further, key=[*_PARTS, *further].index)
        weights = weights | {term: acting[term] for term in ordered}
        if acting.get("margin", 0.0) not in {0.0, self.losses("MV + Triplet")["margin"]}:
            weights["margin"] = acting["margin"]
        others = _OPTIONS | ({_SOFTMAX} if softmax else set())
        weights |= {name: value for name, value in acting.items() if name in others}
        parts = [_FIRST[any(mean_variance.values()), softmax > 0]]
        parts += [_PARTS.get(term, term.removeprefix("lambda_")) for term in ordered]
        values = [f"{term.replace('lambda', 'λ')} {weight:g}" for term, weight in weights.items()]
        return " + ".join(filter(None, parts)) + (f" ({', '.join(values)})" if values else "")

    def describe(
        self, parameters: Mapping[str, Any], pretraining: Pretraining | None = None
    ) -> str:
        """Say in words how a setting was trained: size, epochs, schedule, triplets, weights, more.

        Args:
            parameters: All values in effect.
            pretraining: On other faces, where it started from one.

        Returns:
            Such as "48 px, 8 epochs, one-cycle, shared triplets, weights ImageNet"; other values
            that are not the paper's (or, where it is silent, this project's) follow.
        """
        training = parameters["training"]
        start = describe_start(parameters["model"]["weights"], pretraining)
        unnamed = pretraining is not None or parameters["model"]["weights"] == "none"
        said_first = ("image_size", "epochs", "schedule")
        words = [
            *(value_in_words(f"training.{name}", training[name]) for name in said_first),
            value_in_words("triplets.mode", parameters["triplets"]["mode"]),
            *(["all images supervised"] if training["supervise"] == "all" else []),
            start if unnamed else f"weights {start}",
        ]
        words += [
            value_in_words(path, value)
            for path, value in self.unlike(parameters).items()
            if path.rpartition(".")[2] not in _SAID_FIRST
        ]
        return ", ".join(words)

    def unlike(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a budget, by dotted name, that are not the paper's.

        Empty where everything but losses and seed is the paper's, or ours where it is silent.

        Args:
            parameters: All values in effect. A protocol that the paper does not have is held
                against the budget of those that it has.
        """
        protocol = parameters["protocol"]
        known = protocol if protocol in PAPERS_PROTOCOLS else _FOR_OTHERS
        papers = given_values(self.settings[known]["mv"])
        values = given_values(parameters)
        # In one order, whatever a document's is: words of equal budgets are equal.
        known_first = [path for path in papers if path in values] + list(values)
        # What is off is as if it were not there.
        return {
            path: values[path]
            for path in known_first
            if (values[path] or None) != (papers.get(path) or None) and path != WATCHED
        }


def acting_losses(loss: Mapping[str, float]) -> dict[str, float]:
    """Keep what changes the loss: weights above 0, and the margin where the triplet term has one.

    A loss with a weight of 0 is none: a run without it computed the same. That of the softmax is 1
    where none is given. What else a loss that this version does not know is given counts where any
    such loss acts.
    """
    acting = {
        name: float(value)
        for name, value in loss.items()
        if (name.startswith("lambda_") or name in _OPTIONS) and value != default_of(name)
    }
    if "lambda_t" in acting:
        acting["margin"] = float(loss["margin"])
    if acting.keys() - {"margin", *_USUAL}:
        acting |= {name: value for name, value in loss.items() if not name.startswith("lambda_")}
    return acting


def default_of(name: str) -> float:
    """The value of a weight or an option where none is told."""
    return _USUAL.get(name, 0.0)


def weights_in_words(loss: Mapping[str, float]) -> str:
    """The weights that act, such as "λ_m 0.2, λ_v 0.05, λ_c 10"; of the softmax loss alone that."""
    weights = acting_losses(loss).items()
    words = [f"{name.replace('lambda', 'λ')} {value:g}" for name, value in weights]
    return ", ".join(words) or "softmax alone"


def mark(loss: Mapping[str, float], head: str = LINEAR) -> str:
    """What must not be overlooked about losses, and about the head of their network.

    Args:
        loss: All weights.
        head: The one that is given; losses may need another.

    Returns:
        Keys of `MARKS`, by semicolons; "" where there is nothing. With both terms of KL it is the
        sum of their weights that is too small to matter.
    """
    kld, printed = (loss.get(term, 0.0) for term in ("lambda_k", "lambda_k_printed"))
    acting = [term for term in losses.LOSSES.values() if loss.get(term.weight, 0.0)]
    heads = {head, *(term.head for term in acting)}
    found = {
        (KLD_HARDLY_PULLS if kld else PRINTED_HARDLY_PULLS): 0 < kld + printed <= _HARDLY_PULLING,
        TWO_VIEWS: any(term.views > 1 for term in acting),
        GIVEN_SPREAD: not heads.isdisjoint(OF_ONE_NUMBER),
    }
    return "; ".join(words for words, holds in found.items() if holds)


def value_in_words(path: str, value: Any) -> str:
    """Say one value of a budget, such as "64 px", "20 epochs", "batch size 32" or "ages rounded".

    Args:
        path: Its dotted name.
        value: What it is; of a file its name is said.
    """
    name = path.rpartition(".")[2]
    if name == "schedule":
        return _SCHEDULES.get(value, str(value))
    words = _IN_WORDS.get(name, name.replace("_", " "))
    if value is True:
        return words
    if value == 1:
        words = words.replace("{} epochs", "{} epoch")
    shown = PurePath(value).name if name == "folds_file" and value else value
    return words.format(shown) if "{" in words else f"{words} {shown}"


def is_papers_network(parameters: Mapping[str, Any]) -> bool:
    """Whether a setting's networks are made of what the paper's are."""
    values = flattened({"model": parameters["model"]}, skipped=())
    return all(values.get(name, papers) == papers for name, papers in NETWORK.items())


def given_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a budget, by dotted name, that a user could give."""
    flat = flattened(parameters, skipped=(*_NO_BUDGET, *_OF_PROTOCOL))
    return {path: value for path, value in flat.items() if path not in _BY_CONTENT}


def deciding_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All values but losses, seed and protocol by dotted name; of files what they hold.

    Whether the test part was watched decides nothing.
    """
    flat = flattened(parameters, skipped=_NO_BUDGET)
    flat.pop(WATCHED, None)
    return flat | {path: None for digest, path in _BY_CONTENT.items() if flat.get(digest)}


def flattened(parameters: Mapping[str, Any], skipped: Collection[str]) -> dict[str, Any]:
    """Values by dotted name, without the blocks that are skipped."""
    kept = {name: value for name, value in parameters.items() if name not in skipped}
    return {
        f"{name}.{part}" if part else name: value
        for name, block in kept.items()
        for part, value in (block if isinstance(block, Mapping) else {"": block}).items()
    }


def faces(pretraining: Pretraining) -> str:
    """The sources in words, such as "UTKFace and Own photos"."""
    return " and ".join(SOURCES.get(source, source) for source in pretraining["sources"])


def in_words(pretraining: Pretraining) -> str:
    """Such as "UTKFace, 11,672 images, 18 epochs, 64 px"."""
    n, count, pixels = (pretraining[name] for name in ("n", "epochs", "image_size"))
    epochs = f"{count} epoch{'s' if count != 1 else ''}"
    return f"{faces(pretraining)}, {n:,} images, {epochs}, {pixels} px"


def describe_start(weights: str, pretraining: Pretraining | None = None) -> str:
    """Say what a network started from.

    A file of weights of which nothing is told is a stand-in: what it was trained on is not known,
    so that its results are never called ImageNet-pretrained, nor pre-trained on faces.

    Args:
        weights: `imagenet`, `efficientnet_lite0`, `none` or the path of a file.
        pretraining: What is told of the file.

    Returns:
        "ImageNet", "EfficientNet-Lite0 of ImageNet", "random weights (not pre-trained)", "<file
        name> (not ImageNet)", or such as "weights 5e6f7a8b pre-trained on faces (F)".
    """
    if pretraining is not None:
        return f"weights {pretraining['weights'][:8]} pre-trained on faces (F)"
    named = {"imagenet": "ImageNet", "efficientnet_lite0": LITE0, "none": NOT_PRETRAINED}
    return named.get(weights) or f"{PurePath(weights).name} (not ImageNet)"
