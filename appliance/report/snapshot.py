"""The keeper's snapshot, read into one value: what `status` shows and metrics count comes from here and nowhere else.

A snapshot is JSON of our own making, from a process that may be older or newer than this one: what is missing is nothing, what is
not known is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

Json = dict[str, Any]
CAUSES: Final = ("security", "fault", "maintenance", "unknown")
POSTURES: Final = ("observe", "shadow", "enforce")  # mildest first; the metric counts them from 0


@dataclass(frozen=True, slots=True)
class Port:
    """One watched interface: frames that passed the filter, of these lost; what is wrong ("": nothing)."""

    name: str
    up: bool
    frames: int
    dropped: int
    offloads: tuple[str, ...]
    problem: str

    @property
    def watched(self) -> bool:
        """Whether its frames reach us."""
        return self.up and not self.problem


@dataclass(frozen=True, slots=True)
class Sensor:
    """The sensor's last status record; keys as in docs/records.md. `buckets`: (upper end in s, findings up to it)."""

    mode: str
    since: float | None
    frames: int
    size: int
    damaged: int
    missed: int
    ports: tuple[Port, ...]
    readiness: str
    new: float | None
    watched: float
    ready_in: float | None
    buckets: tuple[tuple[float, int], ...]
    told: int
    waited: float
    memory: int

    @property
    def dropped(self) -> int:
        """Frames that were neither learned nor judged: the ring or the spool was full."""
        return sum(port.dropped for port in self.ports) + self.missed


@dataclass(frozen=True, slots=True)
class Lease:
    """A step against somebody that is in force, until `until` (s since the epoch)."""

    id: str
    step: str
    source: str
    target: str
    until: float
    incident: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What the enforcer says is in force; `trial` None: none is on trial; `until`: the trial's end, s since the epoch."""

    generation: int
    trial: int | None
    until: float
    mended: int
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where incidents are sent: how many wait, since when, when one arrived last (s since the epoch), how many were lost."""

    name: str
    kind: str
    waiting: int
    oldest: float | None
    last: float | None
    dropped: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with the appliance itself, since when (s since the epoch), and what to do."""

    what: str
    since: float
    advice: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole appliance at one moment.

    age      seconds since the sensor told something, None where it never did
    run      how often the sensor was started, 0 where the keeper does not say
    opened   incidents since the store was begun, those that had to go included
    posture  one of POSTURES, "" where incidents are not answered; blocks: leases it put in force
    """

    now: float
    started: float
    sensor: Sensor | None
    age: float | None
    run: int = 0
    opened: int = 0
    open: dict[str, int] = field(default_factory=dict)
    findings: int = 0
    rules: Rules | None = None
    posture: str = ""
    blocks: int = 0
    store: int = 0
    cap: int = 0
    reports: tuple[Destination, ...] = ()
    problems: tuple[Problem, ...] = ()


def overview(snapshot: Json) -> Overview:
    """The snapshot as one value; whatever it holds, nothing is raised but for what is no object at all (TypeError)."""
    if not isinstance(snapshot, dict):
        raise TypeError("a snapshot is one object")
    counts, store = _table(snapshot, "incidents"), _table(snapshot, "store")
    rules, response = snapshot.get("enforcer"), _table(snapshot, "response")
    sensor = snapshot.get("sensor")
    gone = _whole(store, "dropped_open") + _whole(store, "dropped_closed")
    by_cause = _table(counts, "open_by_cause")
    posture = _text(response, "posture")
    return Overview(
        now=_number(snapshot, "now"),
        started=_number(snapshot, "started"),
        sensor=_sensor(sensor) if isinstance(sensor, dict) else None,
        age=_maybe(snapshot, "sensor_age"),
        run=_whole(snapshot, "run"),
        opened=_whole(counts, "total") + gone,
        open={cause: _whole(by_cause, cause) for cause in CAUSES},
        findings=_whole(snapshot, "findings"),
        rules=_rules(rules) if isinstance(rules, dict) else None,
        posture=posture if posture in POSTURES else "",
        blocks=_whole(response, "blocks"),
        store=_whole(store, "bytes"),
        cap=_whole(store, "cap"),
        reports=tuple(
            Destination(
                name=_text(d, "name"),
                kind=_text(d, "kind"),
                waiting=_whole(d, "waiting"),
                oldest=_maybe(d, "oldest"),
                last=_maybe(d, "last_sent"),
                dropped=_whole(d, "dropped"),
            )
            for d in _tables(_table(snapshot, "reporter"), "destinations")
        ),
        problems=tuple(
            Problem(_text(p, "what"), _number(p, "since"), _text(p, "advice"))
            for p in _tables(snapshot, "problems")
            if p.get("what")
        ),
    )


def _sensor(said: Json) -> Sensor:
    known, latency = _table(said, "adequacy"), _table(said, "latency")
    pairs = [b for b in _list(latency, "buckets") if isinstance(b, list) and len(b) == 2]
    return Sensor(
        mode=_text(said, "mode"),
        since=_maybe(said, "since"),
        frames=_whole(said, "frames"),
        size=_whole(said, "bytes"),
        damaged=_whole(said, "damaged"),
        missed=_whole(said, "unlearned"),
        ports=tuple(
            Port(
                _text(p, "name"),
                p.get("up") is True,
                _whole(p, "frames"),
                _whole(p, "dropped"),
                tuple(str(o) for o in _list(p, "offloads")),
                _text(p, "problem"),
            )
            for p in _tables(said, "interfaces")
        ),
        readiness=_text(known, "readiness"),
        new=_maybe(known, "new"),
        watched=_number(known, "watched"),
        ready_in=_maybe(known, "ready_in"),
        buckets=tuple((float(end), int(count)) for end, count in pairs if _is_number(end) and _is_number(count)),
        told=_whole(latency, "count"),
        waited=_number(latency, "sum"),
        memory=_whole(said, "memory"),
    )


def _rules(said: Json) -> Rules:
    trial = _maybe(said, "trial")
    return Rules(
        generation=_whole(said, "generation"),
        trial=None if trial is None else int(trial),
        until=_number(said, "until") * 1e-9,
        mended=_whole(said, "healed"),
        leases=tuple(
            Lease(
                id=_text(x, "id"),
                step=_text(x, "step"),
                source=_text(x, "source"),
                target=_text(x, "target"),
                until=_number(x, "until") * 1e-9,
                incident=_text(x, "incident"),
            )
            for x in _tables(said, "leases")
        ),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _table(of: Json, key: str) -> Json:
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def _list(of: Json, key: str) -> list[Any]:
    value = of.get(key)
    return value if isinstance(value, list) else []


def _tables(of: Json, key: str) -> list[Json]:
    return [value for value in _list(of, key) if isinstance(value, dict)]


def _text(of: Json, key: str) -> str:
    value = of.get(key)
    return value if isinstance(value, str) else ""


def _maybe(of: Json, key: str) -> float | None:
    value = of.get(key)
    return value if _is_number(value) else None


def _number(of: Json, key: str) -> float:
    return _maybe(of, key) or 0.0


def _whole(of: Json, key: str) -> int:
    return int(_maybe(of, key) or 0)
