"""The status record: how the running sensor fares, for a person or a program that reads its lines (`docs/records.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from appliance.report.records import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.report.latency import LatencyRecord


class InterfaceStatus(TypedDict):
    """One watched interface; see `docs/records.md` for every key."""

    name: str
    up: bool
    frames: int
    dropped: int
    offloads: list[str]
    problem: str


class AdequacyStatus(TypedDict):
    """How much of the plant is learned; see `docs/records.md` for every key."""

    readiness: str
    new: float | None
    watched: float
    ready_in: float | None


class PacketsStatus(TypedDict):
    """The packets of incidents; see `docs/records.md` for every key."""

    seconds: float
    files: int
    bytes: int
    missed: int
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
    packets: PacketsStatus | None
    learned: float | None
    missed: int | None
    bytes: int
    damaged: int
    adequacy: AdequacyStatus
    latency: LatencyRecord
    memory: int
    since: float
    unlearned: int
    waiting: int
    lost: int
    problem: str


@dataclass(frozen=True, slots=True)
class Known:
    """How much is learned.

    readiness  a word of `learn.adequacy.Readiness`
    new        upper limit (95 %) of the share of a next block of time that would be new, None where that cannot be said yet
    watched    ns of clean time that it rests on
    ready_in   ns of clean time that learning still takes at the least, 0 where it is over; None where that cannot be said
    """

    readiness: str
    new: float | None
    watched: int
    ready_in: int | None

    def record(self) -> AdequacyStatus:
        """As it stands in the status record, seconds with milliseconds."""
        new = None if self.new is None else round(self.new, 6)
        ready = None if self.ready_in is None else round(self.ready_in * 1e-9, 3)
        return {"readiness": self.readiness, "new": new, "watched": round(self.watched * 1e-9, 3), "ready_in": ready}


NOTHING_YET = Known("short", None, 0, None)


def status_record(
    *,
    now: int,
    mode: str,
    frames: int,
    findings: int,
    incidents: int,
    interfaces: Sequence[tuple[str, bool, int, int, list[str], str]],
    learned: tuple[int, int] | None,
    size: int,
    damaged: int,
    known: Known,
    latency: LatencyRecord,
    memory: int,
    packets: PacketsStatus | None,
    since: int,
    unlearned: int,
    feed: tuple[int, int] = (0, 0),
    problem: str = "",
) -> StatusRecord:
    """The record.

    now         ns since the epoch
    interfaces  name, up, frames that passed the filter, of these lost, offloads that are on, what is wrong ("": nothing)
    packets     what is kept of incidents; None while learning
    learned     ns watched while learning, frames left out of it for lack of room; None while watching
    size        bytes of the frames that were read, as long as they were on the wire
    damaged     frames with damage of any layer, of those learned or judged
    memory      resident bytes of the sensor
    unlearned   frames that were not learned for lack of room since the process started, told also once it watches
    since       ns since the epoch at which the sensor began to learn or to watch
    problem     what is wrong with the baseline, "" where nothing
    feed        records that the keeper has not acknowledged yet; records lost because there were too many of them
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
        "packets": packets,
        "learned": None if learned is None else round(learned[0] * 1e-9, 3),
        "missed": None if learned is None else learned[1],
        "bytes": size,
        "damaged": damaged,
        "adequacy": known.record(),
        "latency": latency,
        "memory": memory,
        "since": seconds(since),
        "unlearned": unlearned,
        "waiting": feed[0],
        "lost": feed[1],
        "problem": problem,
    }
