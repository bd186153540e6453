"""Which leases are still in force by what was recorded of them, and the record of an end that nobody saw."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from appliance.decide.rules import Lease, Mode, Step
from appliance.report.response import Act, end_record, in_force, response_record

if TYPE_CHECKING:
    from appliance.report.response import ResponseRecord

SECOND = 1_000_000_000


def record(name: str, act: Act, at: int) -> ResponseRecord:
    source, target = ip_network("10.0.0.1/32"), ip_network("10.0.0.2/32")
    lease = Lease(name, Step.PAIR, source, target, None, 0, None, (at + 60) * SECOND, "why", "i-1")
    return response_record("i-1", at * SECOND, Mode.ENFORCE, act, Step.PAIR, lease, "reconnects", ("why",))


def test_a_lease_is_in_force_until_its_end_is_recorded() -> None:
    records = [
        record("l-1", Act.APPLIED, 1), record("l-2", Act.APPLIED, 2), record("l-3", Act.APPLIED, 3), record("l-4", Act.WOULD, 3),
        record("l-5", Act.REFUSED, 3), record("l-1", Act.RENEWED, 4), record("l-2", Act.ENDED, 5), record("l-3", Act.UNDONE, 6),
        record("l-3", Act.APPLIED, 7),
    ]  # fmt: skip
    assert in_force(records) == {"l-1": records[5], "l-3": records[8]}
    assert in_force(records[::-1][:1]) == {"l-3": records[8]}
    assert in_force([]) == {}


def test_an_end_is_told_in_the_words_of_the_record_before() -> None:
    before = record("l-1", Act.RENEWED, 4)
    end = end_record(before, 30 * SECOND, Act.UNDONE)
    assert end == response_record(
        "i-1", 30 * SECOND, Mode.ENFORCE, Act.UNDONE, Step.PAIR, None, "", ("why",)
    ) | {"lease": before["lease"]}  # fmt: skip
    assert in_force([before, end]) == {}
