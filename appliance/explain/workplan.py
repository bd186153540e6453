"""Work plans: who may do what, when, to which devices; and whether an incident is all of it planned work.

An incident is planned only where *every* finding of it is: by somebody named, to a device named, over a service and with a
command that is named, inside one of the plan's windows. What cannot be told (no words for a request, more messages than were
looked at) is not planned, unless the plan allows anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from appliance.detect.finding import Finding, Kind
from appliance.explain.facts import CONTENT, FAILURES, asks, server
from appliance.protocols import Intent, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ANYTHING, OUTAGE, EXCHANGE = "anything", "outage", "exchange"
# what a plan may allow -> what requests want
ACTS: dict[str, frozenset[Intent]] = {
    "read": frozenset({Intent.READ, Intent.DIAGNOSE}),
    "write": frozenset({Intent.WRITE}),
    "control": frozenset({Intent.CONTROL}),
    "download": frozenset({Intent.PROGRAM}),
    "identify": frozenset({Intent.IDENTIFY, Intent.SCAN}),
    "connect": frozenset(),
    OUTAGE: frozenset(),
    EXCHANGE: frozenset(),
    ANYTHING: frozenset(Intent),
}
_ALWAYS = frozenset({Intent.SESSION, Intent.ANSWER, Intent.ERROR})
_HARDWARE = frozenset({Kind.ADDRESS_CHANGE, Kind.DUPLICATE_ADDRESS, Kind.READDRESSED})
_LINK = ("eth", "llc/")
_NEVER_NAMED = frozenset({Kind.FLOOD, Kind.OVERLAP, Kind.DAMAGE})  # no command that a plan could name
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Once:
    """A window: ns since the epoch, the end not included."""

    start: int
    end: int

    def holds(self, at: int) -> bool:
        """Whether a moment is inside."""
        return self.start <= at < self.end

    def next(self, after: int) -> int | None:
        """When it begins, if that is after a moment."""
        return self.start if self.start > after else None


@dataclass(frozen=True, slots=True)
class Weekly:
    """A window of every week: weekdays (0 is Monday) of its beginning, local times; an end before the beginning is next day's.

    since, until   first and last day of a beginning; None: without limit
    """

    days: frozenset[int]
    start: time
    end: time
    zone: tzinfo
    since: date | None = None
    until: date | None = None

    def _begins(self, day: date) -> bool:
        inside = (self.since is None or day >= self.since) and (self.until is None or day <= self.until)
        return inside and day.weekday() in self.days

    def _span(self, day: date) -> tuple[int, int]:
        over = day + _DAY if self.end <= self.start else day
        return _ns(datetime.combine(day, self.start, self.zone)), _ns(datetime.combine(over, self.end, self.zone))

    def holds(self, at: int) -> bool:
        """Whether a moment is inside."""
        today = _local(at, self.zone)
        for day in (today - _DAY, today):
            start, end = self._span(day)
            if self._begins(day) and start <= at < end:
                return True
        return False

    def next(self, after: int) -> int | None:
        """When it begins next after a moment."""
        today = _local(after, self.zone)
        first = max(today, self.since) if self.since is not None else today
        for day in (first + i * _DAY for i in range(9)):
            if self._begins(day) and self._span(day)[0] > after:
                return self._span(day)[0]
        return None


Window = Once | Weekly


@dataclass(frozen=True, slots=True)
class Plan:
    """One piece of work.

    who, assets   networks; a single address is a network of one; hardware addresses are in `hardware`, lower case
    services      as findings write them; empty: any
    may           words of ACTS; functions: names of protocol functions, lower case
    zone          in which times are told
    """

    name: str
    who: tuple[IPv4Network | IPv6Network, ...]
    assets: tuple[IPv4Network | IPv6Network, ...]
    windows: tuple[Window, ...]
    zone: tzinfo
    may: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    hardware: frozenset[str] = frozenset()
    ticket: str = ""
    contact: str = ""

    def next(self, after: int) -> int | None:
        """When its next window begins."""
        return min((n for w in self.windows if (n := w.next(after)) is not None), default=None)

    def open(self, at: int) -> bool:
        """Whether a moment is in one of its windows."""
        return any(w.holds(at) for w in self.windows)


@dataclass(frozen=True, slots=True)
class Planned:
    """What plans say of an incident: `inside` the plan; or the work is that of `plan` but at another time; or of no plan.

    next   ns of the beginning of the plan's next window, None where there is none
    """

    inside: bool
    plan: Plan | None = None
    next: int | None = None


def planned(
    findings: Sequence[Finding], total: int, plans: Sequence[Plan], speak: Callable[[Finding], Words | None]
) -> Planned | None:
    """What plans say of the findings of one incident; None where there is no plan, or nothing that anybody could plan.

    total   findings that belong to the incident, also those that were not kept
    speak   gives the words of a finding; asked for requests only
    """
    if not plans or not findings or (all(f.kind in FAILURES for f in findings) and not _any_outage(plans)):
        return None
    whole = total <= sum(max(1, f.count) for f in findings)
    right = [plan for plan in plans if whole and all(_allows(plan, f, speak) for f in findings)]
    for plan in right:
        if all(plan.open(f.time_ns) for f in findings):
            return Planned(True, plan)
    if all(f.kind in FAILURES for f in findings):
        return None  # what fails outside of any plan is a failure
    last = max(f.time_ns for f in findings)
    coming = [(start, plan) for plan in right if (start := plan.next(last)) is not None]
    if coming:
        start, plan = min(coming, key=lambda entry: (entry[0], entry[1].name))
        return Planned(False, plan, start)
    return Planned(False, right[0] if right else None)


def _any_outage(plans: Sequence[Plan]) -> bool:
    return any(p.may & {OUTAGE, ANYTHING} for p in plans)


def _allows(plan: Plan, f: Finding, speak: Callable[[Finding], Words | None]) -> bool:
    """Whether a finding is work of the plan, its time aside."""
    anything = ANYTHING in plan.may
    if f.kind in FAILURES:
        return _among(server(f), plan.assets, plan) and (anything or OUTAGE in plan.may)
    if f.kind in _HARDWARE:
        return _among(f.src, plan.assets, plan) and (anything or EXCHANGE in plan.may)
    if not f.service.startswith(_LINK) and plan.services and f.service not in plan.services:
        return False
    forth = _among(f.client, plan.who, plan) and _among(server(f), plan.assets, plan)
    back = _among(f.client, plan.assets, plan) and _among(server(f), plan.who, plan)
    if not forth and not back:
        return False
    return anything or _commanded(plan, f, speak, forth)


def _commanded(plan: Plan, f: Finding, speak: Callable[[Finding], Words | None], forth: bool) -> bool:
    """Whether what a finding does is named by the plan; `forth`: by somebody named, to a device named."""
    if f.kind in _NEVER_NAMED or (f.kind is Kind.SCAN and "identify" not in plan.may):
        return False
    if not asks(f) or f.service.startswith(_LINK):
        return True  # what devices answer follows from what they were asked
    if f.kind in CONTENT and (f.count > 1 or not f.payload):
        return False  # messages that nobody looked at
    if not f.payload:
        return True
    said = speak(f)
    if said is None:
        return False
    allowed = said.intent in _ALWAYS
    if forth:
        allowed |= any(said.intent in ACTS[word] for word in plan.may) or said.service.lower() in plan.functions
    return allowed


def _among(address: str, networks: Sequence[IPv4Network | IPv6Network], plan: Plan) -> bool:
    if address.lower() in plan.hardware:
        return True
    try:
        one = ip_address(address)
    except ValueError:
        return False
    return any(one in network for network in networks)


def _ns(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000_000


def _local(at: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at // 1_000_000_000, zone).date()


def local_moment(at: int, zone: tzinfo) -> datetime:
    """A moment (ns since the epoch) as people there read it."""
    return datetime.fromtimestamp(at // 1_000_000_000, zone)
