"""What `sekisho policy` says, as text and as JSON lines (docs/policy.md)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from appliance.report.wording import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.decide.compiling import Compiled
    from appliance.decide.plan import Explained, Planned, Row, Tested
    from appliance.decide.policy import Policy

SHOWN = 6  # functions named in one line


def policy_line(path: str, policy: Policy) -> str:
    """One line on a policy that is sound."""
    modes = Counter(str(a.mode) for a in policy.assets)
    assets = ", ".join(f"{n} {mode}" for mode, n in sorted(modes.items())) or "none"
    sound = f"{len(policy.rules)} rules, {len(policy.tests)} tests; nothing wrong"
    return f"{plain(path)}: {plain(policy.name)}: assets: {assets}; {sound}"


def tested_lines(tests: list[Tested]) -> Iterator[str]:
    """A line per test."""
    for t in tests:
        came = "allow" if t.allowed else "refuse"
        wanted = "allow" if t.expectation.allow else "refuse"
        by = f", by {t.rule.reason}" if t.rule else ""
        what = plain(t.expectation.text)
        if t.passed:
            yield f"{t.expectation.place}: pass: {what}: {came}{by}"
        else:
            yield f"{t.expectation.place}: FAIL: {what}: expected {wanted}, is {came} ({t.verdict.outcome}{by})"


def plan_lines(compiled: Compiled, planned: Planned) -> Iterator[str]:
    """What would be, in words: what is cut first."""
    g = compiled.generation
    cut = planned.cut
    yield f"{len(planned.rows)} learned conversations to guarded assets, {len(cut)} of them cut in part or whole"
    for row in cut:
        names = sorted({a.function for a in row.cut})
        shown = ", ".join(map(plain, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        happens = {"enforce": "would be CUT", "shadow": "would be counted (shadow)"}.get(str(row.mode), "nothing (observe)")
        whole = "everything" if row.cuts_all else "in part"
        yield f"  {row.entered.talk.text()}: {happens}, {whole}: {shown}"
        yield f"    because {row.why or 'no rule allows it'}"
    yield "how exact the kernel is:"
    for row in planned.rows:
        note = f" ({row.entered.note})" if row.entered.note else ""
        yield f"  {row.entered.talk.text()}: {row.entered.exactness}, {row.mode}{note}"
    if g.never:
        yield f"never refused: {', '.join(map(str, g.never))}"
    yield f"changes: {len(planned.added)} added, {len(planned.removed)} removed"
    yield from (f"  + {line}" for line in planned.added)
    yield from (f"  - {line}" for line in planned.removed)
    yield from (f"note: {note}" for note in g.notes)


def plan_records(compiled: Compiled, planned: Planned) -> Iterator[dict[str, Any]]:
    """The same as records; the last one is the summary."""
    yield from (_record(row) for row in planned.rows)
    yield from ({"type": "policy-change", "change": "add", "text": line} for line in planned.added)
    yield from ({"type": "policy-change", "change": "remove", "text": line} for line in planned.removed)
    g = compiled.generation
    yield {
        "type": "policy-summary",
        "conversations": len(planned.rows),
        "cut": len(planned.cut),
        "protected": len(g.protected),
        "allowed": len(g.allowed),
        "patterns": sum(len(a.patterns) for a in g.allowed),
        "never": [str(n) for n in g.never],
        "notes": list(g.notes),
    }


def _record(row: Row) -> dict[str, Any]:
    c = row.entered.talk.conversation
    client, server, _ = c.text().replace(" -> ", " ").split()
    return {
        "type": "policy-conversation",
        "client": client,
        "server": server,
        "service": c.service,
        "protocol": row.entered.talk.protocol,
        "mode": str(row.mode),
        "exactness": str(row.entered.exactness),
        "note": row.entered.note,
        "functions": sorted({a.function for a in row.entered.talk.asks}),
        "cut": sorted({a.function for a in row.cut}),
        "why": row.why,
    }


def explained_lines(e: Explained) -> Iterator[str]:
    """Why a request is allowed or not."""
    rule = e.rule
    yield f"{e.verdict.outcome}" + (f", by {rule.reason} ({rule.client} -> {rule.server} {rule.service})" if rule else "")
    yield f"learned: {plain(e.template)}" if e.template else "learned: nothing like it in this conversation"
    if e.exactness is not None:
        yield f"the kernel is {e.exactness} here"
    if e.nearest is not None:
        near = e.nearest
        yield f"nearest rule: {near.reason} ({near.client} -> {near.server} {near.service}); what differs: {'; '.join(e.missing)}"
