"""The whole method on one page: drawn faces, triplets, losses, training, error.

    python examples/method.py            # a minute on one core

Nothing of Kedro or MLflow is needed, only the ground floor of the package. What the pipelines add
is said where it is left out: photos and their alignment, all folds, checkpoints, intervals.
"""

import argparse

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from contrastive_age.drawn.face import draw_face
from contrastive_age.drawn.population import fgnet_population
from contrastive_age.evaluation.outputs import predict
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.losses import LossWeights, TripletPositions, total_loss
from contrastive_age.model.network import AgeNetwork, expected_age
from contrastive_age.protocols.splits import subject_exclusive
from contrastive_age.training.augmentation import ALIGNED_SIZE, draw, geometry, prepare, sample
from contrastive_age.training.loop import learning_rate
from contrastive_age.training.recipe import Augmentation
from contrastive_age.triplets.index import build_index
from contrastive_age.triplets.sampling import batches

CLASSES = AgeClasses(0, 69)
TERNARY = LossWeights(lambda_m=0.2, lambda_v=0.05, lambda_c=1.0, lambda_t=1.0, margin=0.2)
VIEWS = Augmentation(degrees=10.0, translate=0.03, scale=0.05, flip="horizontal")
BATCH, PEAK = 32, 1e-3  # anchors a step; the highest learning rate, of one cycle


def draw_people(identities: int, images: int) -> tuple[pd.DataFrame, npt.NDArray[np.uint8]]:
    """Draw people at several ages each; the pipelines read photos and align them with MTCNN.

    Returns:
        `sample_id, identity, age` of n pictures, and the pictures, uint8 (n, 256, 256, 3).
    """
    shots = fgnet_population(identities, images, seed=0)
    faces = [
        np.asarray(draw_face(shot.identity, shot.age, picture=shot.picture, size=ALIGNED_SIZE))
        for shot in shots
    ]
    rows = [(shot.name, f"{shot.identity:03d}", shot.age) for shot in shots]
    return pd.DataFrame(rows, columns=["sample_id", "identity", "age"]), np.stack(faces)


def train(
    images: torch.Tensor, samples: pd.DataFrame, weights: LossWeights, image_size: int, epochs: int
) -> AgeNetwork:
    """Train a network from random weights.

    Args:
        images: Frames as `prepare` gives them, uint8 (n, 3, S, S).
        samples: `identity` and `age` of the same rows.
        weights: Of the losses (Eq. 7).
        image_size: Side in pixels of what the network sees.
        epochs: How often each image is an anchor.
    """
    torch.manual_seed(0)
    rng, views = np.random.default_rng(0), torch.Generator().manual_seed(0)
    network = AgeNetwork(CLASSES).train()
    optimiser = torch.optim.Adam(network.parameters())
    classes = torch.from_numpy(CLASSES.index(samples["age"].to_numpy()))
    # Positive: the same age, another identity. Negative: another age, another identity.
    index = build_index(samples["age"].to_numpy(), samples["identity"].to_numpy())
    for epoch in range(epochs):
        seen, total = 0, 0.0
        for batch in batches(index, "shared", BATCH, rng):
            done = (epoch + seen / len(index)) / epochs
            optimiser.param_groups[0]["lr"] = learning_rate("onecycle", done, PEAK)
            draws = draw(len(batch.rows), images.shape[-1], image_size, VIEWS, views)
            faces = sample(
                images[batch.rows], image_size, geometry(draws, images.shape[-1], image_size)
            )
            places = (torch.from_numpy(getattr(batch, name)) for name in TripletPositions._fields)
            # Anchors, positives and negatives go through the network as one batch.
            outputs, ages = network(faces), classes[batch.rows]
            terms = total_loss(outputs, ages, TripletPositions(*places), weights, "all")
            optimiser.zero_grad()
            terms["total"].backward()
            optimiser.step()
            seen += len(batch.anchor)
            total += terms["total"].item() * len(batch.anchor)
        print(f"epoch {epoch + 1:2d} of {epochs}: loss {total / seen:.3f}")
    return network


def predicted_ages(
    network: AgeNetwork, images: torch.Tensor, image_size: int
) -> npt.NDArray[np.float32]:
    """Predict the expectation of the softmax, in years, (n,)."""
    logits = predict(network, images, image_size).logits
    return expected_age(torch.from_numpy(logits), CLASSES.values)[0].numpy()


def main(arguments: list[str] | None = None) -> None:
    """Train on four fifths of the people, and say how far off the network is on the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=60)
    parser.add_argument("--images", type=int, default=480)
    parser.add_argument("--image-size", type=int, default=48, help="pixels; the paper's is 224")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args(arguments)

    samples, faces = draw_people(given.identities, given.images)
    # No one is in both parts. The pipelines test each of the folds once, and give an interval.
    tested = subject_exclusive(samples, folds=5, seed=0)["fold"].to_numpy() == 0
    frames = prepare(faces, np.arange(len(faces)), given.image_size)
    network = train(frames[~tested], samples[~tested], TERNARY, given.image_size, given.epochs)
    ages = samples["age"].to_numpy()
    errors = np.abs(predicted_ages(network, frames[tested], given.image_size) - ages[tested])
    constant = np.abs(np.median(ages[~tested]) - ages[tested])
    print(f"{tested.sum()} images of people who were not trained on")
    print(f"mean absolute error {errors.mean():.2f} years, of a constant {constant.mean():.2f}")


if __name__ == "__main__":
    main()
