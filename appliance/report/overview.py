"""The appliance on one screen, for a person in front of the box (`sekisho status`).

sekisho 0.1.0   2026-11-21 12:40:12 UTC   running for 3 h 07 min
WATCHING since 2026-11-21 09:40 UTC - needs attention: 1 incident open

learned     8 h 00 min of traffic; a next block may bring up to 1.1 % that is new; enough to watch
interfaces  eth1  up    300,121 frames, no loss
...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.report.labels import label
from appliance.report.overview_words import word
from appliance.report.wording import cells, fit, moment, plain, span, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.report.snapshot import Json, Lease, Overview, Port, Sensor

COLUMNS: Final = 80
ROWS: Final = ("learned", "seen", "interfaces", "incidents", "rules", "reports", "disk", "problems")
_LEASES, _TITLES, _PORTS, _PROBLEMS = 4, 3, 16, 8  # lines of each at the most
_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_FINE, _ALARM, _BUSY = "\x1b[1;30;42m", "\x1b[1;97;41m", "\x1b[1;30;43m"


def attention(now: Overview) -> list[tuple[str, int]]:
    """What a person should look at, the gravest first: (sensor | interface | incident | trial | problem, how many)."""
    ports = now.sensor.ports if now.sensor is not None else ()
    found = [
        ("sensor", int(now.sensor is None)),
        ("interface", sum(not port.watched for port in ports)),
        ("incident", sum(now.open.values())),
        ("trial", int(now.rules is not None and now.rules.trial is not None)),
        ("problem", len(now.problems)),
    ]
    return [(name, count) for name, count in found if count]


def overview_lines(
    now: Overview, incidents: Sequence[Json], version: str, lang: str = "en", *, color: bool = False, columns: int = COLUMNS
) -> Iterator[str]:
    """Lines without their line ends, at most `columns` terminal cells wide (60 at the least).

    incidents   records of open incidents, the newest first; the first three are shown
    color       adds ANSI colours; without it there is no escape sequence, whatever the records hold
    Raises UsageError for a language without texts.
    """
    columns = max(columns, 60)
    yield from _head(now, version, lang, color, columns)
    yield ""
    sections = {
        "learned": _learned(now.sensor, lang),
        "seen": _seen(now, lang),
        "interfaces": _interfaces(now, lang),
        "incidents": _incidents(now, incidents, lang),
        "rules": _rules(now, lang),
        "reports": _reports(now, lang),
        "disk": [word(lang, "store", used=size_text(now.store), cap=size_text(now.cap))],
        "problems": _problems(now, lang),
    }
    width = max(cells(word(lang, f"row.{row}")) for row in ROWS) + 2
    for row in ROWS:
        name = fit(word(lang, f"row.{row}"), width)
        lead = f"{_DIM}{name}{_RESET}" if color else name
        for text in sections[row]:
            yield from _row(lead, text, width, columns)
            lead = " " * width


def _row(lead: str, text: str, width: int, columns: int) -> Iterator[str]:
    """A text beside its lead; where it takes several lines, those that follow stand two cells further in."""
    indent = len(text) - len(text.lstrip(" "))
    for number, line in enumerate(wrap(text[indent:], columns - width - indent - 2)):
        yield (lead if number == 0 else " " * width) + " " * (indent + 2 * (number > 0)) + line


def _head(now: Overview, version: str, lang: str, color: bool, columns: int) -> Iterator[str]:
    at = moment(round(now.now * 1e9))[:19]
    running = word(lang, "running", span=span(now.now - now.started))
    yield from wrap(f"sekisho {plain(version)}   {at} UTC   {running}", columns)
    wrong = attention(now)
    mode = "NOTHING" if now.sensor is None else "WATCHING" if now.sensor.mode == "watching" else "LEARNING"
    badge = word(lang, mode)
    since = ""
    if now.sensor is not None and now.sensor.since is not None:
        since = " " + word(lang, "since", time=moment(round(now.sensor.since * 1e9))[:16])
    if not wrong:
        said = word(lang, "fine")
    else:
        named = [word(lang, f"why.{name}" + _plural(name, count), count=f"{count:,}") for name, count in wrong]
        said = word(lang, "attention", what=", ".join(named))
    paint = _ALARM if wrong else _FINE if mode == "WATCHING" else _BUSY
    line = f"{badge}{since} - {said}"
    if cells(line) > columns - 2:
        yield _badge(badge, paint, color) + since
        yield from (f"  {part}" for part in wrap(said, columns - 2))
    else:
        yield _badge(badge, paint, color) + line[len(badge) :]


def _badge(text: str, paint: str, color: bool) -> str:
    return f"{paint} {text} {_RESET}" if color else text


def _plural(name: str, count: int) -> str:
    return "s" if count != 1 and name in ("interface", "incident", "problem") else ""


def _learned(sensor: Sensor | None, lang: str) -> list[str]:
    if sensor is None:
        return ["-"]
    parts = [word(lang, "learned", span=span(sensor.watched))] if sensor.watched else []
    if sensor.readiness in ("nothing", "short", "learning", "enough"):
        parts.append(word(lang, sensor.readiness))
    if sensor.new is not None:
        parts.append(word(lang, "new", percent=f"{100 * sensor.new:.1f}"))
    if sensor.mode == "learning" and sensor.ready_in is not None:
        parts.append(word(lang, "left", span=span(sensor.ready_in)) if sensor.ready_in >= 1 else word(lang, "over"))
    return ["; ".join(parts) or "-"]


def _seen(now: Overview, lang: str) -> list[str]:
    sensor = now.sensor
    if sensor is None:
        return ["-"]
    parts = [word(lang, "frames", frames=f"{sensor.frames:,}", size=size_text(sensor.size))]
    if sensor.damaged:
        parts.append(word(lang, "damaged", count=f"{sensor.damaged:,}"))
    if sensor.missed:
        parts.append(word(lang, "left.out", count=f"{sensor.missed:,}"))
    if sensor.mode == "watching":
        parts.append(word(lang, "findings", count=f"{now.findings:,}"))
    within = quantile(sensor, 0.95)
    if within is not None:
        parts.append(word(lang, "told", span=f"{within:g} s"))
    return ["; ".join(parts)]


def quantile(sensor: Sensor, share: float) -> float | None:
    """The smallest upper end (s) within which that share of the findings was told; None for none, or later than the last one."""
    if not sensor.told:
        return None
    return next((end for end, count in sensor.buckets if count >= share * sensor.told), None)


def _interfaces(now: Overview, lang: str) -> list[str]:
    sensor = now.sensor
    if sensor is None or not sensor.ports:
        return ["-"]
    said = "\n".join(problem.what for problem in now.problems)
    width = max(cells(plain(port.name)) for port in sensor.ports)
    state = max(cells(word(lang, key)) for key in ("up", "down"))
    return [
        f"{fit(plain(port.name), width)}  {fit(word(lang, 'up' if port.up else 'down'), state)}  {_port(port, said, lang)}"
        for port in sensor.ports[:_PORTS]
    ]


def _port(port: Port, said: str, lang: str) -> str:
    """What came in, what was lost; what is wrong where no problem says it."""
    if port.dropped:
        percent = f"{100 * port.dropped / max(port.frames, 1):.2g}"
        parts = [word(lang, "loss", frames=f"{port.frames:,}", lost=f"{port.dropped:,}", percent=percent)]
    else:
        parts = [word(lang, "lossless", frames=f"{port.frames:,}")]
    if port.offloads:
        parts.append(word(lang, "offloads", names=plain(", ".join(port.offloads))))
    return "; ".join([*parts, *([plain(port.problem)] if port.problem and port.problem not in said else [])])


def _incidents(now: Overview, incidents: Sequence[Json], lang: str) -> list[str]:
    count = sum(now.open.values())
    so_far = word(lang, "so.far", count=f"{now.opened:,}")
    if not count:
        return [f"{word(lang, 'none.open')}; {so_far}"]
    by_cause = ", ".join(f"{label(lang, f'cause.{cause}')} {n:,}" for cause, n in now.open.items() if n)
    lines = [f"{word(lang, 'open', count=f'{count:,}')} ({by_cause}); {so_far}"]
    for record in incidents[:_TITLES]:
        cause, opened = str(record.get("cause")), record.get("opened")
        when = moment(round(opened * 1e9))[5:16] if isinstance(opened, int | float) else ""
        name = label(lang, f"cause.{cause}") if cause in now.open else cause
        title = str(record.get("title") or name)
        lines.append(plain(f"  {record.get('id')}  {when}  {name}: {title}"))
    return lines


def _rules(now: Overview, lang: str) -> list[str]:
    rules = now.rules
    if rules is None:
        return [word(lang, "off")]
    held = word(lang, "generation", number=rules.generation) if rules.generation else word(lang, "generation.none")
    lines = [f"{held}; {word(lang, f'posture.{now.posture}')}"]
    if rules.trial is not None:
        lines.append(word(lang, "trial", number=rules.trial, span=span(max(rules.until - now.now, 0))))
    leases = sorted((lease for lease in rules.leases if lease.until > now.now), key=lambda lease: lease.until)
    if leases:
        lines.append(word(lang, "lease" if len(leases) == 1 else "leases", count=len(leases)))
    lines += [f"  {_lease(lease, now.now, lang)}" for lease in leases[:_LEASES]]
    if len(leases) > _LEASES:
        lines.append("  " + word(lang, "more", count=f"{len(leases) - _LEASES:,}"))
    return lines


def _lease(lease: Lease, now: float, lang: str) -> str:
    source, target = (end.removesuffix("/32").removesuffix("/128") for end in (lease.source, lease.target))
    pair = f"{source} → {target}" if target else source
    return plain(f"{lease.id}  {lease.step}  {pair}  {word(lang, 'lease.left', span=span(lease.until - now))}  {lease.incident}")


def _reports(now: Overview, lang: str) -> list[str]:
    lines = []
    for one in now.reports[:_PORTS]:
        if one.waiting:
            parts = [word(lang, "waits", count=f"{one.waiting:,}", span=span(now.now - (one.oldest or now.now)))]
        elif one.last is not None:
            parts = [word(lang, "sent", span=span(now.now - one.last))]
        else:
            parts = [word(lang, "never.sent")]
        parts += [word(lang, "gone", count=f"{one.dropped:,}")] if one.dropped else []
        lines.append(f"{plain(one.name)} ({plain(one.kind)})  {'; '.join(parts)}")
    return lines or [word(lang, "no.reports")]


def _problems(now: Overview, lang: str) -> list[str]:
    if not now.problems:
        return [word(lang, "none")]
    lines = []
    for problem in now.problems[:_PROBLEMS]:
        age = now.now - problem.since
        lines.append(plain(problem.what) + (f" ({word(lang, 'for', span=span(age))})" if age >= 1 else ""))
        lines.append("  " + "→ " + plain(problem.advice))
    if len(now.problems) > _PROBLEMS:
        lines.append(word(lang, "more", count=f"{len(now.problems) - _PROBLEMS:,}"))
    return lines


def size_text(size: int) -> str:
    """Bytes -> "812 B", "1.4 MiB", "23 GiB"."""
    number, unit = float(size), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, bigger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
