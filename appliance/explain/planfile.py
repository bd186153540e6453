"""Work plans as people write them (`rules/work-plans/*.yaml`) -> `workplan.Plan`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from appliance.documents import Value, read_document
from appliance.explain.workplan import ACTS, WEEKDAYS, Once, Plan, Weekly, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PLANS, MAX_WINDOWS, MAX_PARTIES, MAX_HOSTS = 256, 64, 256, 2048
LONGEST = timedelta(days=31)  # of one window: a plan that is always open is no plan
_SERVICE = re.compile(r"(?:tcp|udp)/\d{1,5}|ip/\d{1,3}|eth/0x[0-9a-f]{4}|llc/0x[0-9a-f]{2}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


Zones = Callable[[str], tzinfo]  # a time zone by its name; KeyError, ValueError or OSError where there is none


def parse_plans(name: str, data: bytes, zones: Zones) -> list[Plan]:
    """All plans of a document. Raises DocumentError that names file, line and fix."""
    top = read_document(name, data).fields(("version", "time-zone", "plans"), ("hosts",))
    top["version"].whole(1, 1)
    zone = _zone(top["time-zone"], zones)
    hosts = top["hosts"].mapping() if "hosts" in top else {}
    if len(hosts) > MAX_HOSTS:
        raise top["hosts"].wrong(f"has {len(hosts)} entries; write at most {MAX_HOSTS}")
    known = {key: _address(value, {}) for key, value in hosts.items()}
    plans: list[Plan] = []
    for entry in top["plans"].items(MAX_PLANS):
        plan = _plan(entry, known, zone)
        if plan.name in {p.name for p in plans}:
            raise entry.wrong(f"there is a plan {plan.name!r} already; give each a name of its own")
        plans.append(plan)
    return plans


def _zone(value: Value, zones: Zones) -> tzinfo:
    name = value.text()
    try:
        return zones(name)
    except (KeyError, ValueError, OSError) as error:
        raise value.wrong(f"{name!r} is no time zone; write one like Asia/Tokyo, Europe/Berlin or UTC") from error


Party = IPv4Network | IPv6Network | str


def _plan(entry: Value, hosts: Mapping[str, Party], zone: tzinfo) -> Plan:
    fields = entry.fields(("name", "who", "assets", "when"), ("may", "functions", "services", "ticket", "contact"))
    who = [_address(v, hosts) for v in fields["who"].items(MAX_PARTIES)]
    assets = [_address(v, hosts) for v in fields["assets"].items(MAX_PARTIES)]
    may = [v.choice(tuple(ACTS)) for v in fields["may"].items(len(ACTS))] if "may" in fields else []
    functions = [v.text() for v in fields["functions"].items(MAX_PARTIES)] if "functions" in fields else []
    if not may and not functions:
        raise entry.wrong(f"says nothing that is allowed; add may: with {', '.join(ACTS)}, or functions:")
    return Plan(
        name=fields["name"].text(),
        who=tuple(x for x in who if not isinstance(x, str)),
        assets=tuple(x for x in assets if not isinstance(x, str)),
        hardware=frozenset(x for x in (*who, *assets) if isinstance(x, str)),
        windows=tuple(read_window(v, zone) for v in fields["when"].items(MAX_WINDOWS)),
        zone=zone,
        may=frozenset(may),
        functions=frozenset(f.lower() for f in functions),
        services=frozenset(_service(v) for v in fields["services"].items(64)) if "services" in fields else frozenset(),
        ticket=fields["ticket"].text() if "ticket" in fields else "",
        contact=fields["contact"].text() if "contact" in fields else "",
    )


def _address(value: Value, hosts: Mapping[str, Party]) -> Party:
    text = value.text()
    if text in hosts:
        return hosts[text]
    if _MAC.fullmatch(text.lower()):
        return text.lower()
    try:
        return ip_network(text)
    except ValueError as error:
        known = f", or a name under hosts: ({', '.join(sorted(hosts)[:8])})" if hosts else ", or name it under hosts:"
        raise value.wrong(f"{text!r} is no address or network; write it like 10.0.0.5 or 10.0.0.0/24{known}") from error


def _service(value: Value) -> str:
    text = value.text().lower()
    if not _SERVICE.fullmatch(text):
        raise value.wrong(f"{text!r} is no service; write it like tcp/502, udp/47808 or eth/0x8892")
    return text


def read_window(value: Value, zone: tzinfo) -> Window:
    """A window of time, once or weekly. Raises DocumentError."""
    if "every" in value.mapping():
        return _weekly(value, zone)
    fields = value.fields(("from", "to"))
    start, end = read_moment(fields["from"], zone), read_moment(fields["to"], zone)
    if not start < end:
        raise fields["to"].wrong("is not after from:; a window has a beginning and an end")
    if end - start > LONGEST:
        raise fields["to"].wrong(f"is more than {LONGEST.days} days after from:; split the window")
    return Once(round(start.timestamp()) * 1_000_000_000, round(end.timestamp()) * 1_000_000_000)


def _weekly(value: Value, zone: tzinfo) -> Weekly:
    fields = value.fields(("every", "on", "from", "to"), ("since", "until"))
    fields["every"].choice(("week",))
    days = frozenset(WEEKDAYS.index(v.choice(WEEKDAYS)) for v in fields["on"].items(7))
    since, until = (_day(fields[key]) if key in fields else None for key in ("since", "until"))
    if since is not None and until is not None and until < since:
        raise fields["until"].wrong("is before since:; swap them")
    return Weekly(days, _time(fields["from"]), _time(fields["to"]), zone, since, until)


def read_moment(value: Value, zone: tzinfo) -> datetime:
    """A moment, in `zone` where it names none itself. Raises DocumentError."""
    text = value.text()
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise value.wrong(f"{text!r} is no time; write it like 2026-11-24 02:00") from error
    if not 1971 <= when.year <= 2199:
        raise value.wrong(f"{text!r} is in a year beyond 1971 to 2199; write the right one")
    return when if when.tzinfo is not None else when.replace(tzinfo=zone)


def _time(value: Value) -> time:
    text = value.text()
    if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d", text):
        raise value.wrong(f"{text!r} is no time of a day; write it like 02:00")
    return time(int(text[:2]), int(text[3:]))


def _day(value: Value) -> date:
    text = value.text()
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise value.wrong(f"{text!r} is no day; write it like 2026-11-24") from error
    if not 1971 <= day.year <= 2199:
        raise value.wrong(f"{text!r} is in a year beyond 1971 to 2199; write the right one")
    return day
