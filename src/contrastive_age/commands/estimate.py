"""How long settings will take, from a step that is measured."""

from dataclasses import replace

import numpy as np
from kedro.framework.context import KedroContext
from kedro.io import DatasetError

from contrastive_age.commands.sweep import (
    Sweep,
    columns_of,
    standing_metrics,
    values_of,
)
from contrastive_age.errors import DataError
from contrastive_age.model.losses import views
from contrastive_age.parameters.setting import Setting
from contrastive_age.parameters.written import SHARED, as_text, kedro_run
from contrastive_age.protocols.parts import parts
from contrastive_age.running.place import Place
from contrastive_age.running.printing import print_line, print_table

MEASURED_ANCHORS = 16


def print_estimate(place: Place, sweep: Sweep) -> None:
    """Print the runs of a sweep, which of them stand, and how long the others would take.

    The time is not known before the folds are made. It is that of training, from an epoch on
    made-up images of the setting's size, measured once for each kind of step; reading photos,
    evaluation and figures come on top.
    """
    rows, known = [], []
    of_an_anchor: dict[tuple[object, ...], float] = {}
    for candidate in sweep.candidates:
        setting, training = candidate.setting, candidate.setting.training
        context = place.context(candidate.given)
        stands = standing_metrics(context, setting) is not None
        number = anchors(context, setting)
        kind = (
            *(training.image_size, training.batch_size, training.supervise),
            *(setting.triplets.mode, setting.architecture, views(setting.loss)),
        )
        counted, duration = "-", "-"
        if number is not None:
            if not stands and kind not in of_an_anchor:
                of_an_anchor[kind] = _measure(setting)
            known.append(0.0 if stands else number * of_an_anchor[kind])
            counted, duration = f"{number:,}", "stands" if stands else _duration(known[-1])
        seed = str(setting.seed)
        rows.append([*values_of(sweep, candidate), seed, setting.key, counted, duration])
    columns = [*columns_of(sweep), "seed", "key", "anchors", "estimated time"]
    title = f"Sweep of {sweep.protocol}; settings: {len(sweep.groups)}, runs: {len(rows)}"
    print_table(title, columns, rows)
    if len(known) < len(rows):
        for command in making_shared(place, sweep):
            print_line(f"How long it takes is known once the folds are made: {command}")
    else:
        total = _duration(sum(known))
        print_line(f"In all: {total} of training, by a step measured on this machine")


def making_shared(place: Place, sweep: Sweep) -> list[str]:
    """Write the commands that make faces and folds of all settings, one where they share them."""
    given = {one.setting.shared: one.given for one in sweep.candidates}
    options = [f"--tags={','.join(SHARED)}"]
    options += [f"--conf-source={place.conf_source}"] if place.conf_source else []
    return [
        kedro_run(sweep.protocol, *options, env=place.env, params=as_text(each) or "")
        for each in (given.values() if len(given) > 1 else [sweep.common])
    ]


def anchors(context: KedroContext, setting: Setting) -> int | None:
    """Count the anchors that all folds of a setting see in all epochs.

    Args:
        context: Of a session with the setting's parameters.
        setting: The protocol's effective values.

    Returns:
        None where the folds are not made yet, or are those of another setting.
    """
    try:
        folds = context.catalog.load(f"{setting.protocol}.folds")
        setting.plan.require(folds, context.catalog.load(f"{setting.source}.samples"))
    except (DatasetError, DataError):
        return None
    seed = setting.splitting.seed
    trained = [
        len(parts(folds, fold, setting.validation, seed).training) for fold in range(setting.folds)
    ]
    return sum(trained) * (setting.training.epochs + setting.training.head_epochs)


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:,.1f} h"


def _measure(setting: Setting) -> float:
    """Train on a few made-up images, once to warm up and once for the clock."""
    from contrastive_age.faces.alignment import FACE_SIZE
    from contrastive_age.model.network import AgeNetwork
    from contrastive_age.training import loop
    from contrastive_age.training.augmentation import prepare
    from contrastive_age.triplets.index import build_index

    number = min(MEASURED_ANCHORS, setting.training.batch_size)
    rng = np.random.default_rng(0)
    shape = (number, FACE_SIZE, FACE_SIZE, 3)
    faces = rng.integers(0, 256, shape, dtype=np.uint8)
    # Pairs of one age and two identities, so that every anchor has a positive and a negative.
    ages = setting.age_min + np.arange(number) // 2 % (setting.age_max - setting.age_min)
    # Its first stage alone, and nobody is validated on.
    training = replace(setting.training, epochs=2, head_epochs=0, keep="last")
    recipe = replace(setting.recipe, training=training)
    history = loop.train(
        prepare(faces, np.arange(number), setting.training.image_size),
        ages,
        build_index(ages, np.arange(number).astype(str)),
        AgeNetwork(recipe.classes, recipe.architecture),
        recipe,
    )
    return float(history["seconds"].iloc[-1]) / number
