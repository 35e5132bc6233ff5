"""Values that check themselves when they are made, by hand or from a file.

A parameter is defined once: as a field of a frozen dataclass with its bounds, which Pydantic holds.
What may go wrong is said by a `ValueError` that names the field, the value and the bound.
"""

from pydantic import BaseModel, ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""For `pydantic.dataclasses.dataclass`: unknown names are errors, and numbers are finite."""


class Strict(BaseModel):
    """Unknown names are errors, numbers are finite, values never change."""

    model_config = ConfigDict(**STRICT, frozen=True)
