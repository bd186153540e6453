"""The list for review: what looks hostile in the learning time, in words and as records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.learn.meaning.suspects import KINDS, Suspect
from appliance.report.records import seconds
from appliance.report.wording import moment, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# what it is, and what to ask
_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "scan": ("{client} tried {count} partners that answered once or never", "is it a scanner of yours?"),
    "program": ("{client} moved programs or files of {server}, {count} times", "is it the engineering station?"),
    "control": ("{client} commanded {server} itself (start, stop, mode), {count} times", "who did that, and why?"),
    "write": ("{client} wrote to {server} and never did so again", "was it an operator?"),
    "lone": ("{client} came once, talked to {count} partners, and left", "what device is that?"),
    "refused": ("{client} was refused by {server}", "should it ask there at all?"),
    "unanswered": ("{client} was never answered by {server}", "is that server still there?"),
    "dark": ("{count} addresses were looked for that nobody has", "who looks for them?"),
    "once": ("{client} talked to {server} once", "does it belong here?"),
    "request": ("{client} asked {server} {count} things once and never again", "was it somebody's test?"),
    "errors": ("{server} refused {count} requests of {client}", "is the client set up right?"),
}


def review_lines(found: Iterable[Suspect]) -> Iterator[str]:
    """Two or three lines for each, the gravest first, and what is to be done."""
    listed = list(found)
    for s in listed:
        what, ask = _TEXTS[s.kind]
        done = "confirmed" if s.confirmed is not None else "open     "
        service = f" ({s.service})" if s.service else ""
        yield f"{s.id}  {done}  {plain(what.format(client=s.client, server=s.server, count=f'{s.count:,}'))}{service}"
        yield f"    first {moment(s.first)[:19]}, last {moment(s.last)[:19]} UTC; {ask}"
        if s.words or s.content:
            yield f"    {plain(s.words) or s.content[:32].hex(' ')}"
        if s.confirmed is not None:
            when = moment(s.confirmed.when)[:19]
            yield f"    confirmed {when} UTC by {plain(s.confirmed.by)}: {plain(s.confirmed.why)}"
    left = sum(s.confirmed is None for s in listed)
    if listed:
        yield f"{left} of {len(listed)} open; what is open is never put into an allowlist"
    else:
        yield "nothing in the learning time looks hostile"


def review_record(s: Suspect) -> dict[str, Any]:
    """One item as a JSON record."""
    return {
        "type": "review",
        "id": s.id,
        "kind": s.kind,
        "client": s.client,
        "server": s.server,
        "service": s.service,
        "count": s.count,
        "first": seconds(s.first),
        "last": seconds(s.last),
        "seen": s.content.hex(),
        "match": s.match,
        "words": s.words,
        "confirmed": None
        if s.confirmed is None
        else {"by": s.confirmed.by, "time": seconds(s.confirmed.when), "why": s.confirmed.why},
    }


__all__ = ["KINDS", "review_lines", "review_record"]
