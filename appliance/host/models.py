"""Models that are shipped with the program: files of the package, read whole, checked by their digest, never unpickled."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from appliance.errors import ModelError
from appliance.explain.causemodel import CauseModel, parse_model

# In the source tree data/cause.model leads to models/cause/cause.model; in an installed package it is that file.
_CAUSE = "data/cause.model"


@cache
def cause_model() -> CauseModel:
    """The model of causes. Raises ModelError in one clear line when it is missing, damaged or of another version."""
    try:
        raw = files("appliance.host").joinpath(_CAUSE).read_bytes()
    except OSError as error:
        raise ModelError(
            f"cause model: the package's {_CAUSE} cannot be read: {error.strerror}; install the package again"
        ) from error
    return parse_model(raw)
