"""From findings to what would allow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.learn.baselines.ledger import MAX_ALLOWED, Allowed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.detect.finding import Finding


def allowed_by(f: Finding) -> Allowed:
    """The matcher that a finding is accepted by; it holds no time, frame number, counter or payload."""
    request = f.src == f.client
    return Allowed(
        kind=f.kind.value,
        client=f.client,
        server=f.dst if request else f.src,
        service=f.service,
        request=request,
        match=f.match,
        ranges=f.ranges,
        seen=f.seen[:64],
        normal=tuple(n[:64] for n in f.normal[:4]),
        count=f.count,
    )


def deviations(findings: Iterable[Finding]) -> tuple[Allowed, ...]:
    """What allows all of them, each once, in a canonical order. Raises ValueError where they are more than one entry can hold."""
    allowed: dict[Allowed, Allowed] = {}
    for finding in findings:
        one = allowed_by(finding)
        key = Allowed(one.kind, one.client, one.server, one.service, one.request, one.match, one.ranges, one.seen)
        if key not in allowed or allowed[key].count < one.count:
            allowed[key] = one
        if len(allowed) > MAX_ALLOWED:
            raise ValueError(f"more than {MAX_ALLOWED:,} different deviations")
    return tuple(sorted(allowed.values()))
