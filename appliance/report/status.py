"""The status record: how the running sensor fares, for a person or a program that reads its lines (`docs/records.md`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from appliance.report.records import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence


class InterfaceStatus(TypedDict):
    """One watched interface; see `docs/records.md` for every key."""

    name: str
    up: bool
    frames: int
    dropped: int
    offloads: list[str]
    problem: str


class StatusRecord(TypedDict):
    """The sensor at one moment."""

    type: Literal["status"]
    time: float
    mode: str
    frames: int
    findings: int
    incidents: int
    interfaces: list[InterfaceStatus]
    learned: float | None
    missed: int | None


def status_record(
    *,
    now: int,
    mode: str,
    frames: int,
    findings: int,
    incidents: int,
    interfaces: Sequence[tuple[str, bool, int, int, list[str], str]],
    learned: tuple[int, int] | None,
) -> StatusRecord:
    """The record.

    now         ns since the epoch
    interfaces  name, up, frames that passed the filter, of these lost, offloads that are on, what is wrong ("": nothing)
    learned     ns watched while learning, frames left out of it for lack of room; None while watching
    """
    return {
        "type": "status",
        "time": seconds(now),
        "mode": mode,
        "frames": frames,
        "findings": findings,
        "incidents": incidents,
        "interfaces": [
            {"name": name, "up": up, "frames": seen, "dropped": lost, "offloads": offloads, "problem": problem}
            for name, up, seen, lost, offloads, problem in interfaces
        ],
        "learned": None if learned is None else round(learned[0] * 1e-9, 3),
        "missed": None if learned is None else learned[1],
    }
