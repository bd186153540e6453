"""Work plans from files, with the time zones of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from appliance.documents import MAX_BYTES
from appliance.errors import DocumentError
from appliance.explain.planfile import parse_plans

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from appliance.explain.workplan import Plan


def load_plans(paths: Iterable[str | Path]) -> list[Plan]:
    """All plans of the files. Raises DocumentError that names file, line and fix."""
    plans: list[Plan] = []
    for path in paths:
        for plan in parse_plans(str(path), read_bytes(path, MAX_BYTES), zone):
            if plan.name in {p.name for p in plans}:
                raise DocumentError(f"{path}: the plan {plan.name!r} is in another file too; give each a name of its own")
            plans.append(plan)
    return plans


def read_bytes(path: str | Path, most: int) -> bytes:
    """The whole file, at most one byte more than `most`. Raises DocumentError."""
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError as error:
        raise DocumentError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}; check the path and its mode") from error
    except ValueError as error:
        raise DocumentError(f"{str(path)!r}: no name of a file; check the path") from error


def zone(name: str) -> tzinfo:
    """A time zone by its name ("Asia/Tokyo"). Raises KeyError, ValueError or OSError where there is none."""
    return ZoneInfo(name)
