"""What several shares find of one thing is told as one sensor would: once, and a search as a search."""

from dataclasses import replace

from appliance.detect.finding import Finding, Kind
from appliance.incident.whole import Whole

MOVED = Finding(7, 10**9, "10.0.0.1", "10.0.0.2", "10.0.0.1", "eth/0x0800", Kind.ADDRESS_CHANGE, seen=b"\2\0\0\0\0\1")


def tried(number: int, kind: Kind = Kind.NEW_ASSET, service: str = "tcp/502") -> Finding:
    return Finding(number, number * 10**9, "10.0.0.9", f"10.0.1.{number}", "10.0.0.9", service, kind, score=0.01)


def test_what_two_shares_see_is_told_by_the_first_of_them_only() -> None:
    whole = Whole()
    assert whole.seen(MOVED, 1) == MOVED
    assert whole.seen(MOVED, 0) is None
    assert whole.seen(MOVED, 1) == MOVED  # the share itself knows when it is to be said again
    other = replace(MOVED, seen=b"\2\0\0\0\0\2")
    assert whole.seen(other, 0) == other


def test_a_service_is_taken_up_once_whichever_groups_it_is_sent_to() -> None:
    whole = Whole()
    new = Finding(1, 10**9, "10.0.0.1", "239.0.0.1", "10.0.0.1", "udp/5353", Kind.NEW_SERVICE)
    assert whole.seen(new, 0) == new
    assert whole.seen(replace(new, dst="239.0.0.2"), 1) is None
    joined = replace(new, service="ip/2")
    assert whole.seen(joined, 0) == joined
    assert whole.seen(replace(joined, dst="239.0.0.2"), 1) is not None


def test_targets_of_all_shares_make_a_scan() -> None:
    whole = Whole()
    kinds = []
    for n in range(1, 11):
        seen = whole.seen(tried(n), n % 3)
        assert seen is not None
        kinds.append(seen.kind)
    assert kinds == [Kind.NEW_ASSET] * 7 + [Kind.SCAN] * 3


def test_what_is_no_try_of_a_service_counts_for_no_scan() -> None:
    whole = Whole()
    for n in range(1, 20):
        told = tried(n, Kind.DARK_ADDRESS, "eth/0x0806") if n % 2 else tried(n, Kind.UNKNOWN_COMMAND)
        assert whole.seen(told, n % 2) == told
