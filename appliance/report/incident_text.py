"""Incidents as the keeper stores them, in lines for a person: a list, or one with its findings, closings and packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.report.labels import label
from appliance.report.response import response_line
from appliance.report.wording import fit, moment, plain, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
COLUMNS: Final = 100
_FINDINGS: Final = 12  # of an incident that are shown
_ADDRESSES: Final = 12


def list_lines(records: list[Json], lang: str) -> Iterator[str]:
    """A line for each: id, state, cause, time of its last finding (UTC), findings, title."""
    width = max([4, *(len(str(r["id"])) for r in records)])
    for r in records:
        head = f"{plain(str(r['id'])):{width}s}  {_state(r, lang)}  {fit(label(lang, 'cause.' + r['cause']), 12)}"
        head += f"  {moment(_ns(r['updated']))[:19]}  {r['findings']:>7,}  "
        yield head + fit(plain(r["title"] or "-"), max(20, COLUMNS - len(head))).rstrip()


def incident_lines(told: Json, lang: str) -> Iterator[str]:
    """One incident with all that is kept of it."""
    r = told["record"]
    sure = f" {round(100 * r['confidence'])} %" if r["confidence"] and r["cause"] != "unknown" else ""
    yield f"{plain(str(r['id']))}  {label(lang, 'cause.' + r['cause']).upper()}{sure}  {plain(r['title'])}"
    count = label(lang, "findings", count=f"{r['findings']:,}")
    yield f"    {_state(r, lang).strip()}   {moment(_ns(r['opened']))} - {moment(_ns(r['updated']))} UTC   {count}"
    yield from _wrapped(", ".join(map(str, r["assets"][:_ADDRESSES])))
    if r["technique"]:
        yield f"    {plain(r['technique'])}"
    for text in (r["impact"], r["plan"]):
        yield from _wrapped(text)
    for step, advice in enumerate(r["advice"], 1):
        yield from _wrapped(f"{step}. {advice}")
    for f in told["findings"][:_FINDINGS]:
        yield from _finding(f, lang)
    hidden = len(told["findings"]) - _FINDINGS
    if hidden > 0:
        yield "    " + label(lang, "more.places", count=f"{hidden:,}")
    for other in told["others"]:
        if other.get("type") == "response":
            yield from _wrapped(f"{moment(_ns(other['time']))[:19]} UTC  {response_line(other, lang)}")
        else:
            yield from _wrapped("; ".join(f"{k} {v}" for k, v in other.items() if k != "incident"))
    for closing in told["closings"]:
        yield from _wrapped(
            f"{moment(_ns(closing['time']))[:19]} UTC  {label(lang, 'closed')}: {closing['by']}  {closing['note']}"
        )


def _finding(f: Json, lang: str) -> Iterator[str]:
    where = "" if f["frame"] is None else label(lang, "frame", frame=f["frame"]) + "  "
    places = " ".join(f"{a}" if b == a + 1 else f"{a}-{b - 1}" for a, b in f["bytes"][:4])
    yield from _wrapped(f"{where}{f['src']} → {f['dst']}  {f['service']}  {f['kind']}  {places}".rstrip())
    if f["bytes"]:
        yield from _wrapped(f"  {f['seen'][:64]}  |  {f['normal'][:120]}")


def _state(record: Json, lang: str) -> str:
    return fit(label(lang, record["state"]), 8)


def _wrapped(text: str) -> Iterator[str]:
    for line in wrap(plain(text), COLUMNS - 4) if text else []:
        yield "    " + line


def _ns(seconds: float) -> int:
    return int(seconds * 1e6) * 1000
