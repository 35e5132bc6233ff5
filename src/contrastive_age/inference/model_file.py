"""The final model as one file that needs nothing beside it.

The file is written by `torch.save` and read without running any code that it may hold. Besides the
weights it carries whatever decides an age: the classes, the size of the network's view, alignment
and normalisation; and what the ages are worth: intervals, cross-validated errors, the model card.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from contrastive_age.errors import DataError, library
from contrastive_age.evaluation.conformal import Radii
from contrastive_age.faces import alignment
from contrastive_age.faces.alignment import DEFAULT_COVERAGE, FACE_SIZE
from contrastive_age.files import replacing
from contrastive_age.inference.cards import error_words
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import DEFAULT, Architecture
from contrastive_age.model.backbones import normalisation_of
from contrastive_age.model.network import AgeNetwork, expected_age
from contrastive_age.model.weights import AGE_MODEL, read_saved, write_saved
from contrastive_age.training.augmentation import frame_size
from contrastive_age.training.recipe import CROP_SIZE

logger = logging.getLogger(__name__)

VERSION = 2
"""Raised when files are laid out otherwise, or mean something else.

1: one radius a level. 2: radii follow the predicted age; a reader of 1 must not take them for one.
"""


@dataclass(frozen=True, eq=False, repr=False)
class AgeModel:
    """A trained network, with all that it takes to use it and to judge it.

    Attributes:
        state: The network's state dict, on the CPU.
        classes: The ages it tells apart.
        image_size: Side in pixels of what the network sees.
        radii: Half the width of the intervals by predicted age; infinite where too few subjects
            calibrate the level; of no level where the networks that were measured knew the people.
        card: The model card, Markdown.
        facts: What JSON can hold: `name`, and what the card was written from (`protocol`,
            `setting`, `cross_validation`, `made_from`, ...).
        architecture: What the network is made of.
        coverage: How much of a face's surroundings is shown, see `faces.alignment`.
        temperature: What logits are divided by before their softmax says how likely each age is,
            see `evaluation.calibration`. The age is always the expectation of the plain softmax,
            whose error was measured.
    """

    state: Mapping[str, Tensor]
    classes: AgeClasses
    image_size: int
    radii: Radii
    card: str
    facts: Mapping[str, Any]
    architecture: Architecture = DEFAULT
    coverage: float = DEFAULT_COVERAGE
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a temperature that no softmax has."""
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"a temperature is above 0 and finite, not {self.temperature}")

    @property
    def name(self) -> str:
        """Such as `utkface_rs ternary-11c833da`."""
        return str(self.facts.get("name", "unnamed"))

    def __repr__(self) -> str:
        """Say what it is, how far off, and on whose faces it was trained, a line each."""
        ages = f"ages {self.classes.age_min} to {self.classes.age_max} years"
        return "\n".join(
            [
                f"AgeModel {self.name}: {ages}, faces of {self.image_size} pixels",
                error_words(self.facts),
                f"Trained on: {self.facts.get('licence', 'not stated')}",
            ]
        )

    def network(self) -> AgeNetwork:
        """Make the network with its weights, on the CPU and in evaluation mode."""
        return AgeNetwork.of_state(self.classes, self.state, self.architecture).eval()


def ages_of(logits: Tensor, ages: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """What a model says by its logits.

    Args:
        logits: (n, A).
        ages: The age of each class in years, (A,).
        temperature: As of `AgeModel`.

    Returns:
        The age, the expectation of the plain softmax, (n,), and of the tempered one the standard
        deviation (n,), both in years, and the probabilities (n, A).
    """
    age, _ = expected_age(logits, ages)
    tempered = logits / temperature
    _, std = expected_age(tempered, ages)
    return age, std, tempered.softmax(dim=1)


def save_model(model: AgeModel, path: Path) -> None:
    """Write a model into one file, whole or not at all.

    Args:
        model: The model.
        path: The file; its folder is made when missing.
    """
    about = {
        "age_min": model.classes.age_min,
        "age_max": model.classes.age_max,
        "image_size": model.image_size,
        **model.architecture.given,
        "radii": model.radii.as_json(),
        **_views(model),
        "temperature": model.temperature,
        "facts": dict(model.facts),
    }
    content = {
        "format": AGE_MODEL,
        "version": VERSION,
        "state": dict(model.state),
        "about": json.dumps(about, allow_nan=False),
        "card": model.card,
    }
    with replacing(path) as beside:
        write_saved(content, beside)


def load_model(path: Path) -> AgeModel:
    """Read a model that `save_model` wrote, here or in an earlier version.

    Args:
        path: The file.

    Raises:
        DataError: The file is missing, damaged, no model of this project, or one that this version
            would read otherwise than it was meant; or a library of its network is not installed.
    """
    content = _read(path)
    try:
        about = json.loads(content["about"])
        model = AgeModel(
            state=content["state"],
            classes=AgeClasses(about["age_min"], about["age_max"]),
            image_size=about["image_size"],
            radii=_radii(about["radii"], content["version"]),
            card=content["card"],
            facts=about["facts"],
            architecture=Architecture(
                **{name: about[name] for name in vars(DEFAULT) if name in about}
            ),
            coverage=about["alignment"]["coverage"],
            # Files of earlier versions have none.
            temperature=about.get("temperature", 1.0),
        )
        views = {name: about[name] for name in ("alignment", "normalisation")}
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    for name in model.architecture.libraries:
        library(name, name)
    try:
        model.network()
    except (TypeError, ValueError, RuntimeError) as error:
        raise _damaged(path, error) from error
    if content["version"] == 1 and (frame_size(model.image_size) - model.image_size) % 2:
        logger.warning(
            "%s is of a version that saw faces half a pixel beside their centre at %d pixels: its "
            "ages differ a little from those whose errors it tells; make the model again",
            path,
            model.image_size,
        )
    here = _views(model)
    if views != here:
        raise DataError(
            f"{path} was trained on faces made otherwise ({views}) than this version makes them "
            f"({here}); use the version of contrastive-age that made it, or make the model again"
        )
    return model


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is a damaged model ({error}); make or copy it again")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path}: no such model; `make demo` makes one of drawn faces for a try, `kedro run "
            "--pipeline=final_model --params=final_model.protocol=custom_se,...` one of your "
            "photos (docs/pretraining.md#the-final-model), and both say where"
        )
    content = read_saved(path, "a model")
    if not isinstance(content, dict) or content.get("format") != AGE_MODEL:
        raise DataError(
            f"{path} is no model for use: weights alone do not say how faces are aligned or ages "
            f"counted; give the age_model.pt that `kedro run --pipeline=final_model` writes"
        )
    if content.get("version") not in range(1, VERSION + 1):
        raise DataError(
            f"{path} has the layout {content.get('version')}, this version of contrastive-age "
            f"reads 1 to {VERSION}; use the version that made it, or make the model again"
        )
    return content


def _radii(document: Mapping[str, Any], version: int) -> Radii:
    if version == 1:
        return Radii.of_one_width(
            {level: math.inf if radius is None else radius for level, radius in document.items()}
        )
    return Radii.from_json(document)


def _views(model: AgeModel) -> dict[str, Any]:
    """Say what this version makes the network's view of a face by, as the file says it.

    `alignment`: how much of the face's surroundings is shown, the side of the aligned face and of
    its centre that becomes the view, in pixels, and the version of the code that aligns.
    `normalisation`: what is subtracted from the view's values, 0..1, and what they are divided by,
    for each channel.
    """
    views = normalisation_of(model.architecture.backbone)
    return {
        "alignment": {
            "coverage": model.coverage,
            "face_size": FACE_SIZE,
            "crop_size": CROP_SIZE,
            "version": alignment.VERSION,
        },
        "normalisation": {"mean": list(views.mean), "std": list(views.std)},
    }
