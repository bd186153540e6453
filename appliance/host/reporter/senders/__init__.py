"""How events reach a destination: one sender per kind, all with the same two questions.

    hold(events, times, now)   how long to wait before these are sent, s; mail waits for company, others do not
    send(events, about, now)   send them in this order; returning means that the destination has all of them

A sender keeps no state that matters: which events come next is known by the outbox. What fails is a `SendError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appliance.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.report.event import About, Event


class SendError(ReportError):
    """The events did not arrive, as far as is known; they are sent again.

    after     s that the destination asked to wait, None where it did not
    refused   the destination took this one event apart and will never take it: sending it again is of no use
    smaller   it was too much at once
    """

    def __init__(self, why: str, *, after: float | None = None, refused: bool = False, smaller: bool = False) -> None:
        super().__init__(why)
        self.after, self.refused, self.smaller = after, refused, smaller


class Sender(Protocol):
    """One destination's way."""

    most: int  # events at once

    def hold(self, events: Sequence[Event], times: Sequence[int], now: int) -> float:
        """Seconds to wait before sending; `times` are those of the last deliveries, ns, as is `now`."""

    def send(self, events: Sequence[Event], about: About, now: int) -> str:
        """Send all of them, in order; says how in a few words. Raises SendError."""

    def close(self) -> None:
        """Let go of what is open."""
