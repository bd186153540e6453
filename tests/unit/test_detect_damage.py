"""Damage of a sort that learning never met is told once per sender; what a link always shows is not."""

import pytest

from appliance.decode.columns import Damage
from appliance.detect.finding import Kind
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.baselines.codec import baseline_from, baseline_json
from appliance.learn.meaning.model import derive
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Wire, answer, judge, learn, request
from tests.unit.frames import MAC_B, SECOND, ethernet, ipv4, tcp

DEVICE = "10.0.0.11"
SENDER = bytes.fromhex("0a0000000b0b")
CUT = ethernet(0x0800, ipv4(6, tcp(1, b"x" * 20), src=DEVICE, dst=CENTRE)[:30], src=SENDER)  # ends inside the TCP header
SHORT = ethernet(0x0800, b"\x45" + bytes(9), src=SENDER, dst=MAC_B)  # ends inside the IP header


def polls(start: int, *damaged: tuple[int, bytes]) -> Frames:
    wire = Wire()
    for n in range(300):
        wire.tcp(start + n * 100 * MILLI, CENTRE, 40000, DEVICE, 7001, request(n, 1, 3, 0, 1))
        wire.tcp(start + n * 100 * MILLI + MILLI, DEVICE, 7001, CENTRE, 40000, answer(n, 1, 3, b"\1\2"))
    return sorted([*wire.sorted(), *((start + at, raw) for at, raw in damaged)])


@pytest.mark.parametrize("most", [7, 32768])
def test_each_new_sort_of_damage_of_a_sender_is_told_once(most: int) -> None:
    frames = polls(START + 3600 * SECOND, (5 * SECOND, CUT), (6 * SECOND, CUT), (7 * SECOND, SHORT))
    found = [f for f in judge(derive(learn(polls(START))), frames, most) if f.kind is Kind.DAMAGE]
    assert [f.frame for f in found] == [1 + [raw for _, raw in frames].index(raw) for raw in (CUT, SHORT)]
    assert all(f.service == "eth/0x0800" for f in found)
    assert found[1].src == "0a:00:00:00:0b:0b", "no IP header was read: the hardware address says who"


def test_what_was_damaged_while_learning_is_no_news_and_survives_the_file() -> None:
    baseline = learn(polls(START, (SECOND, CUT), (2 * SECOND, CUT)))
    assert sum(baseline.damaged.values()) == 2
    assert baseline_from(*baseline_json(baseline)).damaged == baseline.damaged
    assert merge(baseline, baseline).damaged == {code: 2 * n for code, n in baseline.damaged.items()}
    later = polls(START + 3600 * SECOND, (SECOND, CUT), (2 * SECOND, SHORT))
    assert [f.time_ns - START for f in judge(derive(baseline), later) if f.kind is Kind.DAMAGE] == [3602 * SECOND]


def test_a_capture_that_kept_only_heads_is_not_damaged() -> None:
    assert not Baseline().damaged
    assert Damage.SNAPLEN_CUT not in learn(polls(START)).damaged
