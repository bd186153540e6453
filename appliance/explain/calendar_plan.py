"""iCalendar (RFC 5545) -> the text of a work plan.

An event becomes a plan: its summary the name, its organizer the contact. What a calendar has no field for stands in lines of
the event's description (`who: 10.0.0.66`, `assets: 10.0.0.13`, `may: read, write`, `ticket: CHG-1042`), or is given for
all. A weekly repetition stays one; any other is written out, a year ahead.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from appliance.documents import read_document
from appliance.errors import DocumentError
from appliance.explain.planfile import MAX_PLANS, MAX_WINDOWS
from appliance.explain.workplan import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.explain.planfile import Zones

MAX_CALENDAR = 4 << 20
AHEAD = timedelta(days=366)
TRIED = 50_000  # repetitions looked at of one event
_LINE = re.compile(r"^\s*(who|assets|may|functions|services|ticket|contact)\s*:\s*(.+?)\s*$", re.I | re.M)
_LISTS = ("who", "assets", "may", "functions", "services")
_BYDAY = dict(zip(("MO", "TU", "WE", "TH", "FR", "SA", "SU"), WEEKDAYS, strict=True))


def plan_text(name: str, data: bytes, zone_name: str, zones: Zones, given: Mapping[str, str], now: int) -> tuple[str, int]:
    """The YAML text, and how many plans are in it.

    zone_name   in which the windows are written; given: who, assets, may for events that do not say them
    now         ns since the epoch; what has ended is left out
    Raises DocumentError where it is no calendar, or an event lacks what a plan needs.
    """
    if len(data) > MAX_CALENDAR:
        raise DocumentError(f"{name}: more than {MAX_CALENDAR:,} bytes; export a shorter time from the calendar")
    try:
        zone = zones(zone_name)
    except (KeyError, ValueError, OSError) as error:
        raise DocumentError(f"--time-zone {zone_name}: there is no such time zone; write one like Asia/Tokyo") from error
    plans: list[str] = []
    for event in _events(name, data):
        windows = _windows(name, event, zone, datetime.fromtimestamp(now // 1_000_000_000, UTC))
        if windows:
            plans.append(_plan(name, event, windows, given, len(plans)))
        if len(plans) > MAX_PLANS:
            raise DocumentError(f"{name}: more than {MAX_PLANS} events; export a shorter time from the calendar")
    if not plans:
        raise DocumentError(f"{name}: no event that is still to come; export the right calendar")
    text = f"# from a calendar; check it with: sekisho plan check\nversion: 1\ntime-zone: {_quoted(zone_name)}\nplans:\n"
    text += "".join(plans)
    read_document(name, text.encode())
    return text, len(plans)


def _events(name: str, data: bytes) -> list[Any]:
    from icalendar import Calendar

    try:
        calendar = Calendar.from_ical(data.decode("utf-8-sig"))
        return [e for e in calendar.walk("VEVENT") if str(e.get("STATUS", "")).upper() != "CANCELLED"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise DocumentError(f"{name}: not a calendar that can be read; export it as iCalendar (.ics)") from error


def _summary(event: Any) -> str:
    return " ".join(str(event.get("SUMMARY", "")).split())[:150] or "without a name"


def _windows(name: str, event: Any, zone: tzinfo, now: datetime) -> list[str]:
    """Windows as YAML flow mappings; none where all is over."""
    try:
        start, end = _aware(event.start, zone), _aware(event.end, zone)
        rules = event.get("RRULE")
        if isinstance(rules, list) or event.get("RDATE") is not None:
            raise DocumentError(f"{name}: event {_summary(event)!r}: several repetitions in one event are not read; split it")
        if rules is None:
            return [_once(start, end)] if end > now else []
        weekly = _weekly(rules, event, start, end, zone)
        return [weekly] if weekly is not None else _written_out(rules, event, start, end, now)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise DocumentError(f"{name}: event {_summary(event)!r}: its time cannot be read ({error}); mend it there") from error


def _aware(when: date | datetime, zone: tzinfo) -> datetime:
    if not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day, tzinfo=zone)
    return (when if when.tzinfo is not None else when.replace(tzinfo=zone)).astimezone(zone)


def _once(start: datetime, end: datetime) -> str:
    return f"{{from: {_quoted(start.isoformat())}, to: {_quoted(end.isoformat())}}}"


def _weekly(rule: Any, event: Any, start: datetime, end: datetime, zone: tzinfo) -> str | None:
    """A plain weekly repetition; None for any other."""
    plainly = set(rule) <= {"FREQ", "BYDAY", "UNTIL", "WKST", "INTERVAL"} and list(rule.get("INTERVAL", [1])) == [1]
    days = [str(d) for d in rule.get("BYDAY", [])] or [list(_BYDAY)[start.weekday()]]
    short = timedelta(0) < end - start < timedelta(days=1)
    if [str(f) for f in rule["FREQ"]] != ["WEEKLY"] or not plainly or not set(days) <= set(_BYDAY) or not short:
        return None
    if event.get("EXDATE") is not None:
        return None
    until = f", until: {_aware(rule['UNTIL'][0], zone).date().isoformat()}" if "UNTIL" in rule else ""
    on = ", ".join(_BYDAY[d] for d in days)
    hours = f"from: {_quoted(f'{start:%H:%M}')}, to: {_quoted(f'{end:%H:%M}')}"
    return f"{{every: week, on: [{on}], {hours}, since: {start.date().isoformat()}{until}}}"


def _written_out(rule: Any, event: Any, start: datetime, end: datetime, now: datetime) -> list[str]:
    if str(rule["FREQ"][0]) not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise ValueError("it repeats more often than daily")
    from dateutil.rrule import rrulestr

    found = event.get("EXDATE")
    groups = found if isinstance(found, list) else [found] if found is not None else []
    without = {_aware(d.dt, start.tzinfo or UTC) for group in groups for d in group.dts}
    # local wall times, so that a repetition stays at its hour across a change of daylight saving
    text = re.sub(r"UNTIL=(\d{8}T\d{6})Z", r"UNTIL=\1", rule.to_ical().decode())
    windows: list[str] = []
    for number, wall in enumerate(rrulestr(text, dtstart=start.replace(tzinfo=None))):
        begin = wall.replace(tzinfo=start.tzinfo)
        if number >= TRIED or begin > now + AHEAD or len(windows) >= MAX_WINDOWS:
            break
        if begin + (end - start) > now and begin not in without:
            windows.append(_once(begin, begin + (end - start)))
    return windows


def _plan(name: str, event: Any, windows: list[str], given: Mapping[str, str], number: int) -> str:
    said = {key.lower(): value for key, value in _LINE.findall(str(event.get("DESCRIPTION", ""))[:20_000])}
    fields = {**given, **said}
    title = _summary(event)
    for key in ("who", "assets"):
        if key not in fields:
            raise DocumentError(
                f"{name}: event {title!r}: does not say {key}; add a line '{key}: 10.0.0.5' to its description, or give --{key}"
            )
    if "may" not in fields and "functions" not in fields:
        raise DocumentError(f"{name}: event {title!r}: does not say what is allowed; add 'may: read, write', or give --may")
    organizer = str(event.get("ORGANIZER", "")).removeprefix("mailto:").removeprefix("MAILTO:")
    if organizer and "contact" not in fields:
        fields["contact"] = organizer[:200]
    lines = [f"  - name: {_quoted(f'{title} ({number + 1})')}\n"]
    for key, value in sorted(fields.items()):
        items = [part.strip() for part in value.split(",") if part.strip()]
        lines.append(f"    {key}: {'[' + ', '.join(map(_quoted, items)) + ']' if key in _LISTS else _quoted(value)}\n")
    lines.append("    when:\n")
    lines += [f"      - {window}\n" for window in windows]
    return "".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
