"""How strongly each loss term pulls beside the mean and variance terms, and the triplets' margin.

    python -m benchmarks.pull --raw-root PHOTOS --weights WEIGHTS    # PHOTOS holds fgnet/

prints tables in Markdown. The pull of a term is the norm of the gradient of its weighted value, by
the logits of a batch or by all parameters of the network, as a mean over an epoch's batches, in
percent of that of 0.2 times the mean plus 0.05 times the variance term. It is linear in the weight.
It is measured before and after a training on the other folds of `fgnet_se` than the first: shared
triplets, all images supervised, one cycle. Without photos faces are drawn, and without weights
they are random.
"""

import argparse
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from contrastive_age.drawn.face import draw_face
from contrastive_age.drawn.population import fgnet_population
from contrastive_age.faces.alignment import align, landmark_array, load_image
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.losses import LOSSES, LossWeights, TripletPositions, total_loss
from contrastive_age.model.losses.triplet import triplet_loss
from contrastive_age.model.network import AgeNetwork, Outputs
from contrastive_age.model.weights import read_weights
from contrastive_age.protocols.splits import subject_exclusive
from contrastive_age.sources.fgnet import read_points
from contrastive_age.sources.layouts import read_source
from contrastive_age.training import loop
from contrastive_age.training.augmentation import draw, geometry, prepare, sample
from contrastive_age.training.recipe import Augmentation, Recipe, TrainingSettings
from contrastive_age.triplets.index import TripletIndex, build_index
from contrastive_age.triplets.sampling import batches

CLASSES = AgeClasses(0, 69)
VIEWS = Augmentation(degrees=10, translate=0.03, scale=0.05, flip="horizontal")
MV = LossWeights(lambda_m=0.2, lambda_v=0.05, margin=0.2)
TRAINED_WITH = {"MV": MV, "MV + Triplet": replace(MV, lambda_t=1)}
LAMBDAS: Mapping[str, Sequence[float]] = {
    "softmax": (1,),
    "cosine": (1, 10),
    "triplet": (1,),
    "kl": (1, 3, 10, 30),
    "kl_printed": (1, 3, 10, 30),
}
MARGINS = (0.05, 0.1, 0.2, 0.5, 1)


@dataclass(frozen=True)
class People:
    """The training part: frames as `prepare` gives them, (n, 3, S, S), their ages and triplets."""

    images: Tensor
    ages: npt.NDArray[np.int64]
    index: TripletIndex


@dataclass(frozen=True)
class Pull:
    """What a network's losses do to it.

    Attributes:
        by_logits: By the name of a term at weight 1, in parts of the pull of MV.
        by_parameters: Likewise.
        active: By margin, the share of triplets whose hinge is active.
    """

    by_logits: Mapping[str, float]
    by_parameters: Mapping[str, float]
    active: Mapping[float, float]


def drawn_people(
    identities: int = 82, images: int = 1002
) -> tuple[pd.DataFrame, list[npt.NDArray[np.uint8]]]:
    """Draw people at several ages each: `sample_id, identity, age`, and their faces."""
    shots = fgnet_population(identities, images, seed=0)
    rows = [(shot.name, f"{shot.identity:03d}", shot.age) for shot in shots]
    faces = [np.asarray(draw_face(s.identity, s.age, picture=s.picture, size=256)) for s in shots]
    return pd.DataFrame(rows, columns=["sample_id", "identity", "age"]), faces


def photographed_people(raw_root: Path) -> tuple[pd.DataFrame, list[npt.NDArray[np.uint8]]]:
    """Read FG-NET, aligned by its annotated landmarks."""
    folder = raw_root / "fgnet"
    samples = read_source("fgnet", folder, None, False, None).samples
    points = read_points(folder, samples)
    table = samples.merge(points, on="sample_id", validate="1:1")
    photos = zip(table["path"], landmark_array(table), strict=True)
    return table, [align(load_image(folder / path), own) for path, own in photos]


def training_part(
    samples: pd.DataFrame, faces: Sequence[npt.NDArray[np.uint8]], image_size: int
) -> People:
    """Give all but the first of five subject-exclusive folds."""
    rows = np.flatnonzero(subject_exclusive(samples, folds=5, seed=0)["fold"].to_numpy() != 0)
    part = samples.iloc[rows]
    ages = part["age"].to_numpy()
    images = prepare(np.stack(faces), rows, image_size)
    return People(images, ages, build_index(ages, part["identity"].to_numpy()))


def forwarded(
    network: AgeNetwork, people: People, recipe: Recipe
) -> Iterator[tuple[Outputs, Tensor, TripletPositions]]:
    """Give outputs, class numbers and triplets of an epoch's batches, as a training does."""
    rng, views = np.random.default_rng(0), torch.Generator().manual_seed(0)
    classes = torch.from_numpy(CLASSES.index(people.ages))
    frame, size = people.images.shape[-1], recipe.training.image_size
    for batch in batches(people.index, recipe.triplets, recipe.training.batch_size, rng):
        maps = geometry(draw(len(batch.rows), frame, size, VIEWS, views), frame, size)
        places = (torch.from_numpy(getattr(batch, name)) for name in TripletPositions._fields)
        outputs = network(sample(people.images[batch.rows], size, maps))
        yield outputs, classes[batch.rows], TripletPositions(*places)


def measure(network: AgeNetwork, people: People, recipe: Recipe) -> Pull:
    """Measure an epoch's gradients; the network stays as it is."""
    # Training counts what batch normalisation sees.
    network = copy.deepcopy(network).train()
    parameters = list(network.parameters())
    ones = LossWeights(
        **{LOSSES[name].weight: 1.0 for name in ("mean", "variance", *LAMBDAS)},
        margin=recipe.loss.margin,
    )
    norms: dict[str, list[list[float]]] = {}
    active: dict[float, list[Tensor]] = {margin: [] for margin in MARGINS}
    for outputs, ages, triplets in forwarded(network, people, recipe):
        terms = total_loss(outputs, ages, triplets, ones, "all")
        values = {name: terms[name] for name in LAMBDAS}
        values["MV"] = MV.lambda_m * terms["mean"] + MV.lambda_v * terms["variance"]
        for name, value in values.items():
            norms.setdefault(name, []).append(
                [gradient_norm(value, [outputs.logits]), gradient_norm(value, parameters)]
            )
        both = triplets.has_positive & triplets.has_negative
        vectors = [outputs.logits.detach().softmax(1)[places[both]] for places in triplets[:3]]
        for margin in MARGINS:
            active[margin].append(triplet_loss(*vectors, margin) > 0)
    means = {name: np.mean(own, axis=0) for name, own in norms.items()}
    by_logits, by_parameters = (
        {name: float(means[name][place] / means["MV"][place]) for name in LAMBDAS}
        for place in (0, 1)
    )
    shares = {margin: float(torch.cat(own).float().mean()) for margin, own in active.items()}
    return Pull(by_logits, by_parameters, shares)


def gradient_norm(value: Tensor, by: Sequence[Tensor]) -> float:
    """Give the norm of the gradient of a value, 0 by what it does not depend on."""
    gradients = torch.autograd.grad(value, by, retain_graph=True, allow_unused=True)
    return sum(float(own.square().sum()) for own in gradients if own is not None) ** 0.5


def report(pulls: Mapping[str, Pull]) -> str:
    """Lay the pulls out as tables, a column a network."""
    head = "|".join(["", *(f" {name} " for name in pulls), ""])
    rule = "---|" * len(pulls)
    lines = [f"| term | λ {head}", f"|---|---|{rule}"]
    for name, lambdas in LAMBDAS.items():
        for weight in lambdas:
            cells = [
                f"{weight * own.by_logits[name]:.2%}, {weight * own.by_parameters[name]:.2%}"
                for own in pulls.values()
            ]
            lines.append(f"| {LOSSES[name].title} | {weight:g} | " + " | ".join(cells) + " |")
    lines += ["", f"| margin {head}", f"|---|{rule}"]
    for margin in MARGINS:
        cells = [f"{own.active[margin]:.0%}" for own in pulls.values()]
        lines.append(f"| {margin:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(people: People, recipe: Recipe, weights: Path | None) -> dict[str, Pull]:
    """Measure a network before it is trained, and after it was with each of `TRAINED_WITH`."""
    pulls: dict[str, Pull] = {}
    for name, loss in TRAINED_WITH.items():
        network, own = AgeNetwork(CLASSES), replace(recipe, loss=loss)
        start = read_weights(weights) if weights else None
        load_initial_weights(network, CLASSES, start, recipe.seed)
        if not pulls:
            pulls["at the start"] = measure(network, people, own)
        loop.train(people.images, people.ages, people.index, network, own, progress=True)
        pulls[f"after {name}"] = measure(network, people, own)
    return pulls


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw-root", type=Path, help="holds fgnet/; none: drawn faces")
    parser.add_argument("--weights", type=Path, help="a state dict to start from; none: random")
    parser.add_argument("--image-size", type=int, default=48, help="pixels")
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    samples, faces = photographed_people(given.raw_root) if given.raw_root else drawn_people()
    people = training_part(samples, faces, given.image_size)
    training = TrainingSettings(
        epochs=given.epochs,
        batch_size=64,
        image_size=given.image_size,
        lr=1e-3,
        schedule="onecycle",
        weight_decay=0,
        supervise="all",
    )
    recipe = Recipe(CLASSES, training, "shared", VIEWS, MV, seed=0)
    print(report(run(people, recipe, given.weights)))


if __name__ == "__main__":
    main()
