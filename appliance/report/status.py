"""The status record: how the running sensor fares, for a person or a program that reads its lines (`docs/records.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from appliance.report.latency import LatencyRecord
from appliance.report.records import seconds


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

    readiness  a word of `learn.meaning.adequacy.Readiness`
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorState:
    """The sensor at one moment, as it counts.

    now         ns since the epoch
    interfaces  name, up, frames that passed the filter, of these lost, offloads that are on, what is wrong ("": nothing)
    packets     what is kept of incidents; None while learning
    learned     ns watched while learning, frames left out of it for lack of room; None while watching
    size        bytes of the frames that were read, as long as they were on the wire
    damaged     frames with damage of any layer, of those learned or judged
    memory      resident bytes of the sensor
    since       ns since the epoch at which the sensor began to learn or to watch
    unlearned   frames that were not learned for lack of room since the process started, told also once it watches
    feed        records that the keeper has not acknowledged yet; records lost because there were too many of them
    problem     what is wrong with the baseline, "" where nothing
    """

    now: int
    mode: str
    frames: int
    findings: int
    incidents: int
    interfaces: Sequence[tuple[str, bool, int, int, list[str], str]]
    packets: PacketsStatus | None
    learned: tuple[int, int] | None
    size: int
    damaged: int
    known: Known
    latency: LatencyRecord
    memory: int
    since: int
    unlearned: int
    feed: tuple[int, int] = (0, 0)
    problem: str = ""

    def record(self) -> StatusRecord:
        """As a person or a program reads it, times in seconds."""
        interfaces: list[InterfaceStatus] = [
            {"name": name, "up": up, "frames": seen, "dropped": lost, "offloads": offloads, "problem": problem}
            for name, up, seen, lost, offloads, problem in self.interfaces
        ]
        return {
            "type": "status",
            "time": seconds(self.now),
            "mode": self.mode,
            "frames": self.frames,
            "findings": self.findings,
            "incidents": self.incidents,
            "interfaces": interfaces,
            "packets": self.packets,
            "learned": None if self.learned is None else round(self.learned[0] * 1e-9, 3),
            "missed": None if self.learned is None else self.learned[1],
            "bytes": self.size,
            "damaged": self.damaged,
            "adequacy": self.known.record(),
            "latency": self.latency,
            "memory": self.memory,
            "since": seconds(self.since),
            "unlearned": self.unlearned,
            "waiting": self.feed[0],
            "lost": self.feed[1],
            "problem": self.problem,
        }
