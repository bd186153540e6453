"""A baseline in words: who talks to whom, what was found out of every service, and how much is not known yet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from appliance.decode.framing import Coding
from appliance.decode.names import address_text
from appliance.learn.meaning.adequacy import ENOUGH, Adequacy, Readiness, Share, Verdict, adequacy, verdict
from appliance.learn.meaning.readiness import Readiness as Watching
from appliance.learn.meaning.readiness import Reason, State, ready, share_watched, watched_from
from appliance.learn.messages.dynamics import Scope
from appliance.learn.messages.structure import Side
from appliance.report.inventory import device_count
from appliance.report.life import life_lines
from appliance.report.wording import cells, moment, plain, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from appliance.decode.conversation import Conversation, Port
    from appliance.decode.framing import Framing
    from appliance.learn.baselines.baseline import Baseline, Learned
    from appliance.learn.messages.structure import Structure

_WHY: Final = {
    Reason.YOUNG: "not followed for an hour yet",
    Reason.NEW: "of whose next minute too much would be new",
    Reason.GROWING: "that still bring what they never brought",
    Reason.ONCE: "that came on one occasion only",
    Reason.CYCLE: "whose longest pause is more than half of the time they were followed",
    Reason.OPEN: "come and go, as their like does here; told when they turn to others",
}
_OWNER: Final = {Scope.FLOW: "connection", Scope.STREAM: "conversation", Scope.CLIENT: "client"}
_SIDES: Final = ((Side.REQUEST, "request"), (Side.ANSWER, "answer"), (Side.PUSH, "unasked message"))
_BLOCKS: Final = {60: "minute", 3600: "hour", 86_400: "day"}
_CYCLES: Final = (("hour", 3600), ("shift", 8 * 3600), ("day", 86_400), ("week", 7 * 86_400), ("month", 30 * 86_400))


def learned_lines(name: str, baseline: Baseline, digest: str, most: int | None = None) -> Iterator[str]:
    """Lines without their line ends; at most `most` conversations, the busiest, all with None."""
    b = baseline
    yield f"{plain(name)}  ({digest[:16]})"
    yield f"  {b.frames:,} frames, {_counted(b.sessions, 'session')}, {span(b.watched * 1e-9)} watched"
    if b.frames:
        yield f"  from {moment(b.first)[:19]} to {moment(b.last)[:19]} UTC"
    parts = (
        _counted(device_count(b), "asset"),
        _counted(len(b.conversations), "conversation"),
        _counted(len(b.services), "service"),
    )
    yield f"  {', '.join(parts)} with content"
    if b.truncated:
        yield f"  full, some were left out: {', '.join(sorted(b.truncated))}"
    yield ""
    yield "conversations"
    watching = ready(b, b.last)
    yield from _conversations(b, watching, most)
    yield ""
    yield "watching"
    yield from _watching(b, watching)
    yield ""
    yield "services"
    for port, structures in sorted(b.services.items()):
        yield from _service(b, port, structures)
    yield ""
    said = life_lines(b)
    if said:
        yield "life"
        yield from (f"  {line}" for line in said)
        yield ""
    yield "how complete"
    yield from _completeness(b)
    yield ""


def _counted(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number:,} {thing}s"


def _conversations(b: Baseline, watching: dict[Conversation, Watching], most: int | None) -> Iterator[str]:
    ranked = sorted(b.conversations, key=lambda c: (-b.number(c, "frames"), c))
    shown = ranked if most is None else ranked[:most]
    rows = [_conversation(b, c, watching[c]) for c in shown]
    head = ("client", "server", "service", "state", "frames", "per minute", "longest pause")
    yield from _table([head, *rows], right=4)
    if len(ranked) > len(shown):
        yield f"  and {len(ranked) - len(shown):,} quieter ones (--all shows them)"


def _conversation(b: Baseline, c: Conversation, w: Watching) -> tuple[str, ...]:
    frames, gap = b.number(c, "frames"), b.number(c, "gap_max")
    rate = frames / max(b.watched * 1e-9 / 60, 1 / 60)
    pause = span(gap * 1e-9) if frames > 1 else "-"
    state = "comes and goes" if w.reason is Reason.OPEN else w.state.value
    return address_text(*c.client), address_text(*c.server), c.service, state, f"{frames:,}", f"{rate:,.1f}", pause


def _watching(b: Baseline, watching: dict[Conversation, Watching]) -> Iterator[str]:
    """How many conversations are watched, why others are not, and from when the plant is."""
    if not watching:
        yield "  nothing to watch yet"
        return
    counts = Counter(w.reason for w in watching.values())
    of, share = _counted(len(watching), "conversation"), _percent(share_watched(b, watching))
    yield f"  watched: {counts[Reason.ENOUGH]:,} of {of}, {share} of the frames"
    for reason in (r for r in Reason if r is not Reason.ENOUGH and counts[r]):
        state = State.UNKNOWABLE if reason in (Reason.ONCE, Reason.CYCLE) else State.LEARNING
        kind = "" if reason is Reason.OPEN else f"{state.value}: "
        yield f"  {kind}{counts[reason]:,} {_WHY[reason]}"
    when = watched_from(b, watching)
    if when is None:
        yield "  when most of the plant will be watched cannot be said yet"
    elif when > b.last:
        yield f"  most of the plant will be watched from {moment(when)[:19]} UTC on, if nothing new comes"


def _table(rows: Sequence[Sequence[str]], right: int) -> Iterator[str]:
    """Aligned columns, those from `right` on flush right."""
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        padded = [t.rjust(w) if i >= right else t.ljust(w) for i, (t, w) in enumerate(zip(row, widths, strict=True))]
        yield "  " + "  ".join(padded).rstrip()


def _service(b: Baseline, port: Port, structures: dict[str, Learned]) -> Iterator[str]:
    mine = [c for c in b.conversations if c.port == port]
    clients, servers = len({c.client for c in mine}), len({c.server for c in mine})
    name = mine[0].service if mine else "unknown"
    yield f"  {name}: {_counted(clients, 'client')}, {_counted(servers, 'server')}"
    if len(structures) > 1:
        yield f"    learned in {len(structures)} ways that do not agree; a message is abnormal where all of them say so"
    for _, learned in sorted(structures.items()):
        for text in _structure(learned.structure):
            yield f"    {text}"
        yield f"    {_contents(learned)}"


def _structure(s: Structure) -> Iterator[str]:
    yield framing_text(s.framing)
    for counter in s.counters:
        yield f"bytes {_bytes(counter.offset, counter.width)} of a request count up, for each {_OWNER[counter.scope]} on its own"
    if s.echoes:
        shown = ", ".join(f"{e.request} at {e.answer}" if e.request != e.answer else f"{e.request}" for e in sorted(s.echoes))
        yield f"an answer repeats bytes of its request: {shown}"
    for mask, whose in ((s.identity, "requests"), (s.answer_identity, "answers")):
        if mask.any():
            yield f"in {whose}, fixed within a connection: bytes {_offsets(np.flatnonzero(mask).tolist())}"


def framing_text(f: Framing) -> str:
    """How messages are told apart, in words."""
    if not f.width:
        return "one message in a payload"
    if f.coding is not Coding.FIXED:
        coding = "seven bits a byte, the lowest first" if f.coding is Coding.SEPTETS else "as in BER"
        place = f"bytes from {f.offset} on, as many as it needs ({coding})"
        return f"messages begin with their length: {place}, {f.constant:+d} and its further bytes is the size"
    order = "" if f.width == 1 else f", {'big' if f.big else 'little'}-endian"
    return f"messages begin with their length: bytes {_bytes(f.offset, f.width)}{order}, {f.constant:+d} is the size"


def _contents(learned: Learned) -> str:
    s, t = learned.structure, learned.table
    kinds = []
    for side, word in _SIDES:
        n = sum(template.side is side for template in s.templates)
        if n:
            kinds.append(f"1 kind of {word}" if n == 1 else f"{n:,} kinds of {word}s")
    full = "; of some kinds there are more than are kept" if t.truncated.any() else ""
    messages = int(t.numbers["count"].sum())
    return f"{', '.join(kinds) or 'no kinds'}: {_counted(len(t), 'different content')} in {_counted(messages, 'message')}{full}"


def _bytes(offset: int, width: int) -> str:
    return str(offset) if width == 1 else f"{offset}-{offset + width - 1}"


def _offsets(offsets: Iterable[int]) -> str:
    """[0, 1, 2, 7] -> "0-2, 7"."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][1] + 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    return ", ".join(str(a) if a == z else f"{a}-{z}" for a, z in runs[:8]) + (" …" if len(runs) > 8 else "")


def _completeness(b: Baseline) -> Iterator[str]:
    blocks = adequacy(b)
    for block in blocks:
        yield f"  {_block(block)}"
    half = b.watched // 2
    unknown = [name for name, seconds in _CYCLES if seconds * 1_000_000_000 > half]
    if unknown:
        yield f"  cycles longer than {span(half * 1e-9)} (half of what was seen) are not knowable yet: {', '.join(unknown)}"
    yield f"  {_verdict(verdict(blocks, b.watched))}"


def _verdict(v: Verdict) -> str:
    if v.readiness is Readiness.NOTHING:
        return "verdict: nothing was seen that could be judged"
    if v.readiness is Readiness.SHORT:
        return "verdict: too short to judge; watch for at least two hours, better for two of the plant's cycles"
    name = _BLOCKS[v.block_ns // 1_000_000_000]
    known = f"at most {_percent(v.new)} of a next {name} is new (95 %)"
    if v.readiness is Readiness.LEARNING:
        return f"verdict: go on learning; {known}, {_percent(ENOUGH)} would be enough"
    return f"verdict: learned enough to watch; {known}"


def _block(a: Adequacy) -> str:
    name = _BLOCKS[a.block_ns // 1_000_000_000]
    if not a.knowable:
        return f"a next {name}: not knowable yet, less than two {name}s were watched"
    parts = [text for text in (_share(a.messages, "messages"), _share(a.conversations, "conversations")) if text]
    return f"a next {name}: {'; '.join(parts) or 'nothing was seen to judge by'}"


def _share(share: Share | None, of: str) -> str:
    if share is None:
        return ""
    limits = f"{_percent(share.low)} to {_percent(share.high)}"
    return f"{_percent(share.share)} of its {of} are expected to be new ({limits}; {share.number:.2g} of them)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 or not share else f"{100 * share:.1g} %" if share >= 0.00001 else "< 0.001 %"


__all__: Final = ["framing_text", "learned_lines"]
