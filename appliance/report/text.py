"""The story for people, for a terminal of 100 columns: what, who, where in the packet, why, what to do.

1  SECURITY 97 %  A client that was never here writes to a controller                      i-7
   2015-02-24 17:40:09.410 UTC, during 12 s   10.0.0.9 → 10.0.0.1   tcp/502   14 findings
   frame 4782, byte 7: unknown command
     0000  00 01 00 00 00 06 01[05]00 13 ff 00
     seen 05   normally 01, 02, 03, 04
   1. Find the device 10.0.0.9 ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.report.labels import label
from appliance.report.numbering import ALONE
from appliance.report.outline import HexRow, Outline, Place, bytes_text, hex_rows, left_out, outline, range_text
from appliance.report.wording import cells, fit, listed, moment, plain, span, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.detect.finding import Finding
    from appliance.incident.incident import Incident
    from appliance.report.numbering import Numbering
    from appliance.report.records import SummaryRecord

COLUMNS: Final = 100
_INDENT: Final = "    "
_PLACES: Final = 3
_ROWS: Final = 4
_NORMALS: Final = 6
_BOLD, _DIM, _RED, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[0m"
_BADGES: Final = {
    "security": "\x1b[1;97;41m",
    "fault": "\x1b[1;30;43m",
    "maintenance": "\x1b[1;97;44m",
    "unknown": "\x1b[1;97;45m",
}


class _Paint:
    """Colour where it is wanted, nothing where it is not."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self.on and text else text


def story(
    incidents: Iterable[Incident],
    summary: SummaryRecord,
    lang: str = "en",
    color: bool = False,
    numbering: Numbering = ALONE,
) -> Iterator[str]:
    """Lines without their line ends: each incident, then one closing line.

    Lines take at most 100 terminal cells (addresses are never cut, so a very long IPv6 pair may run over). `color` adds ANSI
    colours; without it the output holds no escape sequence, whatever the incidents hold. `numbering` names the capture of a
    frame where there are several. Raises UsageError for a language without texts.
    """
    paint = _Paint(color)
    causes: dict[str, int] = {}
    for number, incident in enumerate(incidents, start=1):
        causes[incident.cause.value] = causes.get(incident.cause.value, 0) + 1
        yield from _incident(number, incident, lang, paint, numbering)
        yield ""
    yield _closing(causes, summary, lang, paint)


def _incident(number: int, incident: Incident, lang: str, paint: _Paint, numbering: Numbering) -> Iterator[str]:
    found = outline(incident)
    yield _headline(number, incident, lang, paint)
    yield from _circumstances(incident, found, lang)
    for place in found.places[:_PLACES]:
        yield from _place(place, lang, paint, numbering)
    hidden = len(found.places) - _PLACES
    if hidden > 0:
        yield _INDENT + paint(label(lang, "more.places", count=f"{hidden:,}"), _DIM)
    if incident.because:
        yield from _paragraph(f"{label(lang, 'because')}: ", incident.because, paint)
    if incident.impact:
        yield from _paragraph(f"{label(lang, 'impact')}: ", incident.impact, paint)
    if incident.plan:
        yield from _paragraph(f"{label(lang, 'plan')}: ", plain(incident.plan), paint)
    for step, advice in enumerate(incident.advice, start=1):
        yield from _paragraph(f"{step}. ", advice, paint)


def _headline(number: int, incident: Incident, lang: str, paint: _Paint) -> str:
    cause = incident.cause.value
    sure = f" {round(100 * incident.confidence)} %" if incident.confidence > 0 and cause != "unknown" else ""
    badge = f" {label(lang, f'cause.{cause}').upper()}{sure} "
    tail = " ".join(x for x in (incident.technique, incident.id) if x)
    room = COLUMNS - cells(f"{number:>3} {badge}  ") - cells(tail) - 2
    title = fit(plain(incident.title or cause), max(room, 20))
    return f"{number:>3} {paint(badge, _BADGES[cause])} {paint(title, _BOLD)}  {paint(plain(tail), _DIM)}"


def _circumstances(incident: Incident, found: Outline, lang: str) -> Iterator[str]:
    when = f"{moment(incident.opened_ns)} {label(lang, 'utc')}"
    if found.seconds >= 0.001:
        when += f", {label(lang, 'during', span=span(found.seconds))}"
    who = plain(listed(found.clients, 2))
    if found.servers:
        who += f" → {plain(listed(found.servers, 2))}"
    count = label(lang, "finding") if found.findings == 1 else label(lang, "findings", count=f"{found.findings:,}")
    parts = [x for x in (when, who, plain(listed(found.services)), count) if x]
    line = ""
    for part in parts:
        if line and cells(_INDENT + line) + 3 + cells(part) > COLUMNS:
            yield _INDENT + line
            line = ""
        line = f"{line}   {part}" if line else part
    yield _INDENT + line


def _place(place: Place, lang: str, paint: _Paint, numbering: Numbering) -> Iterator[str]:
    finding = place.finding
    where = label(lang, "absence") if finding.frame is None else label(lang, "frame", frame=numbering.text(finding.frame))
    if finding.ranges:
        single = len(finding.ranges) == 1 and finding.ranges[0][1] - finding.ranges[0][0] == 1
        where += ", " + label(lang, "byte" if single else "bytes", bytes=range_text(finding.ranges))
    what = label(lang, f"kind.{finding.kind.value}")
    times = f" ({label(lang, 'times', count=f'{place.count:,}')})" if place.count > 1 else ""
    yield f"{_INDENT}{where}: {paint(what, _BOLD)}{times}"
    if finding.ranges:
        rows = hex_rows(finding.payload, finding.ranges, most=_ROWS)
        for row in rows:
            yield f"{_INDENT}  {_hex(row, paint)}"
        rest = left_out(finding.payload, rows)
        if rows and rest > 0:
            yield f"{_INDENT}        {paint(label(lang, 'more.bytes', count=f'{rest:,}'), _DIM)}"
    if finding.seen:
        yield _comparison(finding, lang, paint)


def _hex(row: HexRow, paint: _Paint) -> str:
    """One row; abnormal bytes stand in brackets, so that the mark survives a copy, a printer and a colour-blind reader."""
    parts = []
    before = False
    for byte, abnormal in row.cells:
        gap = " " if abnormal == before else "[" if abnormal else "]"
        parts.append(gap + (paint(f"{byte:02x}", _RED) if abnormal else f"{byte:02x}"))
        before = abnormal
    return paint(f"{'…' if row.skipped else ' '}{row.offset:04x}", _DIM) + " " + "".join(parts) + ("]" if before else "")


def _comparison(finding: Finding, lang: str, paint: _Paint) -> str:
    line = f"{label(lang, 'seen')} {paint(bytes_text(finding.seen, finding.ranges), _RED)}"
    if finding.normal:
        examples = ", ".join(bytes_text(x, finding.ranges) for x in finding.normal[:_NORMALS])
        line += f"   {label(lang, 'normal')} {examples}{' …' if len(finding.normal) > _NORMALS else ''}"
    return f"{_INDENT}  {line}"


def _paragraph(lead: str, text: str, paint: _Paint) -> Iterator[str]:
    for number, line in enumerate(wrap(text, COLUMNS - len(_INDENT) - cells(lead))):
        yield _INDENT + (paint(lead, _DIM) if number == 0 else " " * cells(lead)) + line


def _closing(causes: dict[str, int], summary: SummaryRecord, lang: str, paint: _Paint) -> str:
    read = label(lang, "close.read", frames=f"{summary['frames']:,}", span=span(summary["seconds"]))
    if summary["damaged"]:
        read += ", " + label(lang, "close.damaged", count=f"{summary['damaged']:,}")
    total = sum(causes.values())
    if total == 0:
        return f"{paint(label(lang, 'close.none'), _BOLD)}: {read}"
    head = label(lang, "close.one") if total == 1 else label(lang, "close.many", count=f"{total:,}")
    which = ", ".join(f"{label(lang, f'cause.{cause}')} {count:,}" for cause, count in causes.items())
    return f"{paint(head, _BOLD)} ({which}), {read}"
