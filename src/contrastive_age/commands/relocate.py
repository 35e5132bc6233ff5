"""Bringing the files of MLflow's runs beside its database, where a project was moved or copied."""

from contrastive_age.errors import DataError
from contrastive_age.running.place import Place
from contrastive_age.tracking.artifacts import Relocated
from contrastive_age.tracking.artifacts import relocate as relocate_all
from contrastive_age.tracking.tracker import tracker


def relocate(place: Place) -> Relocated:
    """Give every run and model of the project's database its files beside it.

    Args:
        place: The project.

    Raises:
        DataError: No database of this machine keeps the runs, or it cannot be used.
    """
    place.context({})  # lets the experiments lead there
    if tracker.lost is not None:
        raise DataError(f"Nothing was relocated: {tracker.lost}")
    return relocate_all()
